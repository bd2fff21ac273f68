// The page: it asks once a second how things stand, and shows it.
const at = (id) => document.getElementById(id);
const picture = new Picture(at("picture"), at("detail"));
const chart = new Chart(at("chart"));
let said = 0; // of changes of parents: the newest that was said, in ms since 1970

function rate(bits) {
  return bits >= 1e6 ? `${(bits / 1e6).toFixed(2)} Mbit/s` : `${Math.round(bits / 1e3)} kbit/s`;
}

// count is a number of things.
function count(n, thing) {
  return `${n} ${thing}${n === 1 ? "" : "s"}`;
}

// tiles shows figures: a name, a figure, a note and a state each. A unit stands behind
// the figure's first space.
function tiles(to, all) {
  all.forEach(([name, figure, note, state], i) => {
    let tile = to.children[i];
    if (!tile) {
      tile = document.createElement("div");
      tile.append(document.createElement("dt"), document.createElement("dd"), document.createElement("dd"));
      tile.children[1].className = "big";
      tile.children[1].append("", document.createElement("small"));
      tile.children[2].className = "note";
      to.append(tile);
    }
    tile.className = state || "";
    const [, number, unit] = /^(\S*)(.*)$/.exec(figure);
    put(tile.children[0], name);
    put(tile.children[1].firstChild, number);
    put(tile.children[1].lastChild, unit);
    put(tile.children[2], note);
  });
  while (to.children.length > all.length) to.lastChild.remove();
}

// put changes a text only if it is another, so that what is selected stays so.
function put(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}

// health is the one word for how things are.
function health(f) {
  if (!f.stream) return ["", "no stream yet"];
  if (f.ended) return ["", "the stream has ended"];
  if (f.role === "source") {
    return f.source.relays + f.source.viewers > 0 ? ["good", "on the air"] : ["warn", "on the air, nobody there"];
  }
  if (f.spare < 0) return ["bad", `short of ${-f.spare}`];
  if (f.spare < Math.min(2, f.m) && f.role === "view") return ["warn", `spare ${f.spare}`];
  return ["good", `spare ${f.spare}`];
}

function showFigures(f) {
  const strip = at("strip"), want = f.stripes.length;
  while (strip.children.length < want) strip.append(document.createElement("i"));
  while (strip.children.length > want) strip.lastChild.remove();
  f.stripes.forEach((s, i) => {
    const state = s.live ? (s.slow ? "slow" : "") : s.made ? "" : s.wanted ? "dead" : "idle";
    strip.children[i].className = (i >= f.k ? "extra " : "") + state;
  });
  strip.setAttribute("aria-label", `${f.live} of ${want} stripes live, ${f.k} are needed`);
  const all = [];
  if (f.role !== "source") {
    all.push(["Spare", f.spare, f.role === "view" ? "parents may vanish unnoticed" : "live stripes, less those wanted", f.spare < 0 ? "bad" : f.spare < 1 && f.role === "view" ? "warn" : ""]);
    all.push(["Live", `${f.live} of ${want}`, `stripes; ${f.k} rebuild it`]);
  }
  if (f.role === "view") all.push(["Delay", `${f.delay.toFixed(1)} s`, "from source to player"]);
  if (f.role !== "source") {
    all.push(["Shared", f.shared.toFixed(2), `out for one in; now ${rate(f.out)}`]);
    all.push(["Comes in", rate(f.in), "on the wire"]);
  }
  if (f.role === "view") all.push(["Skipped", f.skipped, `of ${f.played + f.skipped} blocks`, f.skipped ? "warn" : ""]);
  if (f.role === "relay") all.push(["Feeds", f.stripes.reduce((n, s) => n + s.children, 0), `children; room for ${f.slots}`]);
  tiles(at("tiles"), all);
}

function showSource(r, f) {
  at("root").hidden = !r.node;
  if (!r.node) return;
  const thin = r.per_stripe.find((s) => s.stripe === r.thin);
  tiles(at("rootTiles"), [
    ["Viewers", r.viewers, "that share; others nobody counts"],
    ["Relays", r.relays, "that lend their uplink"],
    ["Depth", r.depth, (r.depth === 1 ? "hop" : "hops") + " to the farthest who gives"],
    ["Sends", r.egress ? `${r.egress.toFixed(2)} ×` : "…", `the stream, now ${rate(r.out)}; ${r.in_all.toFixed(2)} × in all`],
    ["Feeds", r.children, `children; room for ${r.slots}`],
    ["Thinnest", thin ? thin.stripe : "–", thin ? `stripe: ${count(thin.free, "slot")} free, ${count(thin.relays, "relay")}` : "nobody gives yet", thin && thin.relays < 2 ? "warn" : ""],
  ]);
  put(at("thin"), thin ? `Stripe ${thin.stripe} is the thinnest.` : "Nobody gives yet.");
  chart.show(r);
}

function showParents(f) {
  at("parents").replaceChildren(...f.parents.map((p) => {
    const row = document.createElement("tr");
    row.className = p.slow ? "slow" : "";
    row.dataset.node = p.node;
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = p.node + (p.node === f.root ? " (source)" : "");
    row.append(head, ...[list(p.stripes).replace(/^stripes? /, ""), p.rtt ? ms(p.rtt) : "–", ms(p.late) + (p.slow ? ", late" : "")].map((text) => {
      const cell = document.createElement("td");
      cell.textContent = text;
      return cell;
    }));
    return row;
  }));
}

// events puts changes together that belong together, newest first.
function events(changes) {
  const all = [];
  for (const c of changes) {
    const last = all.at(-1);
    if (last && last.from === c.from && last.lost === c.lost && last.ago - c.ago < 3) {
      last.stripes.push(c.stripe);
      if (!last.to.includes(c.to)) last.to.push(c.to);
      last.gap = Math.max(last.gap, c.gap);
    } else {
      all.push({ ...c, stripes: [c.stripe], to: [c.to] });
    }
  }
  return all.reverse();
}

function showLog(f) {
  const all = events(f.changes).slice(0, 8);
  at("log").replaceChildren(...all.map((e) => {
    const item = document.createElement("li"), time = document.createElement("time"), words = document.createElement("span");
    item.className = e.lost ? "lost" : "";
    time.textContent = e.ago < 90 ? `${Math.round(e.ago)} s ago` : `${Math.round(e.ago / 60)} min ago`;
    const who = (node) => Object.assign(document.createElement("b"), { textContent: node });
    const to = e.to.slice(0, 3).flatMap((node, i) => [i ? ", " : "", who(node)]).concat(e.to.length > 3 ? ` and ${e.to.length - 3} more` : "");
    if (!e.from) words.append(`${cap(list(e.stripes))} came from `, ...to);
    else if (e.lost) words.append(who(e.from), ` fell silent; ${list(e.stripes)} from `, ...to, ` after ${ms(e.gap)}`);
    else words.append(`${cap(list(e.stripes))} went from `, who(e.from), " to ", ...to);
    item.append(time, words);
    return item;
  }));
  if (all.length === 0) at("log").replaceChildren(Object.assign(document.createElement("li"), { textContent: "Nothing yet." }));
  const lost = all.find((e) => e.lost);
  if (lost && Date.now() - lost.ago * 1000 > said + 1500) {
    said = Date.now() - lost.ago * 1000;
    put(at("said"), `${lost.from} fell silent; ${list(lost.stripes)} replaced after ${ms(lost.gap)}.`);
  }
}

function cap(words) {
  return words[0].toUpperCase() + words.slice(1);
}

function show(f) {
  f.spare = f.spare_stripes;
  f.live = f.live_stripes;
  const [state, word] = health(f);
  at("health").dataset.state = state;
  put(at("health"), word);
  at("problem").hidden = !f.problem;
  put(at("problem"), f.problem);
  if (f.name) put(at("name"), f.name);
  const what = f.stream ? `, ${rate(f.rate)} as ${f.k}+${f.m}` : "";
  put(at("who"), { source: "source ", relay: "relay ", view: "viewer " }[f.role] + f.node + what);
  at("here").parentElement.hidden = f.role === "source";
  showFigures(f);
  showSource(f.source, f);
  at("forest").hidden = f.stripes.length === 0;
  if (f.stripes.length > 0) picture.show(f);
  showParents(f);
  showLog(f);
  at("parents").closest("section").hidden = f.role === "source";
  screen?.tell(f);
}

async function ask() {
  try {
    const answer = await fetch("/api/forest");
    if (!answer.ok) throw new Error(`it answers ${answer.status}`);
    show(await answer.json());
  } catch (error) {
    put(at("problem"), `No answer from stripecast (${error.message}). What is shown is old.`);
    at("problem").hidden = false;
  }
  setTimeout(ask, document.hidden ? 5000 : 1000);
}

const screen = at("video") && new Screen(at("video"), at("word"), at("back"));
ask();
