// Picture draws the forest: the source on the left, then whoever stands between it and
// us, then us, then those whom we feed. A line is a stripe.
class Picture {
  constructor(host, detail) {
    this.host = host;
    this.detail = detail;
    this.hint = detail.textContent;
    this.svg = draw("svg", { role: "group", "aria-label": "The forest" });
    this.lines = this.svg.appendChild(draw("g", { "aria-hidden": "true" }));
    this.ends = this.svg.appendChild(draw("g", { "aria-hidden": "true" }));
    this.dots = this.svg.appendChild(draw("g", { role: "list", "aria-label": "Who passes stripes on" }));
    host.append(this.svg);
    this.strands = new Map(); // stripe and side → its group
    this.beads = new Map(); // name → what is drawn of it
    this.ghosts = new Map(); // name → of one that was lost of late: where it was, and until when it is shown
    this.svg.addEventListener("keydown", (e) => this.step(e));
    this.dots.addEventListener("pointerover", (e) => this.point(e.target.closest(".bead")));
    this.dots.addEventListener("pointerleave", () => this.point(null));
    this.dots.addEventListener("focusin", (e) => this.point(e.target.closest(".bead")));
    this.dots.addEventListener("focusout", () => this.point(null));
    new ResizeObserver(() => this.forest && this.show(this.forest)).observe(host);
  }

  show(forest) {
    this.forest = forest;
    const plan = this.plan(forest);
    this.svg.classList.toggle("jump", plan.width !== this.width);
    if (plan.width !== this.width) this.lines.querySelectorAll(".gone, .left").forEach((g) => g.remove());
    this.width = plan.width;
    this.svg.setAttribute("viewBox", `0 0 ${plan.width} ${plan.height}`);
    this.svg.classList.toggle("still", forest.ended);
    this.showStrands(plan);
    this.showEnds(plan);
    this.showBeads(plan);
  }

  // plan says where everything goes.
  plan(f) {
    const n = f.stripes.length, isRoot = f.node === f.root;
    const beads = new Map();
    const bead = (key, node, layer, kind, stripe) => {
      let b = beads.get(key);
      if (!b) beads.set(key, (b = { key, node, layer, kind, stripes: [], dead: 0, slow: 0 }));
      b.layer = Math.max(b.layer, layer);
      b.stripes.push(stripe.stripe);
      if (kind === "parent") b.kind = kind;
      return b;
    };
    let deep = 0;
    for (const s of f.stripes) {
      s.path.slice(1).forEach((node, i, all) => {
        const last = i === all.length - 1;
        const b = bead(node, node, i + 1, last ? "parent" : "relay", s);
        if (last && !s.live) b.dead++;
        if (last && s.slow) b.slow++;
        deep = Math.max(deep, i + 1);
      });
    }
    const us = isRoot ? 0 : deep + 1;
    let last = us;
    for (const s of f.stripes) {
      for (const node of s.fed) {
        bead("child " + node, node, us + 1, "child", s);
        last = us + 1;
      }
    }
    this.haunt(f, beads, us);
    return this.measure(f, { n, us, last, beads, isRoot });
  }

  // haunt leaves those who were lost in their places for a while.
  haunt(f, beads, us) {
    const now = performance.now(), lost = this.lost(f);
    for (const [key, b] of this.beads) {
      if (!beads.has(key) && lost.has(key) && !this.ghosts.has(key)) this.ghosts.set(key, { layer: b.layer, mean: b.mean, until: now + 5000 });
    }
    for (const [key, ghost] of this.ghosts) {
      if (beads.has(key) || now > ghost.until) this.ghosts.delete(key);
      else beads.set(key, { key, node: key, layer: Math.min(ghost.layer, us - 1), kind: "gone", stripes: [], mean: ghost.mean, dead: 0, slow: 0 });
    }
  }

  measure(f, plan) {
    const columns = [];
    for (const b of plan.beads.values()) {
      b.mean ??= b.stripes.reduce((a, c) => a + c, 0) / b.stripes.length;
      (columns[b.layer] ||= []).push(b);
    }
    const most = columns.reduce((n, c) => Math.max(n, c.length), 1); // some are empty
    const width = Math.max(280, Math.round(this.host.clientWidth)), edge = 12, top = 20;
    const height = Math.max(170, plan.n * 10, most * 34) + top + 12;
    const x = (layer) => edge + (width - (plan.last === plan.us ? 2 : 4.5) * edge) * (plan.last ? layer / plan.last : 0);
    const span = height - top - 12;
    for (const column of columns) {
      if (!column) continue;
      column.sort((a, b) => a.mean - b.mean || (a.key < b.key ? -1 : 1));
      column.forEach((b, i) => {
        b.x = x(b.layer);
        b.y = top + (span * (i + 0.5)) / column.length;
      });
    }
    const port = (i) => top + (span * (i + 0.5)) / Math.max(1, plan.n);
    return Object.assign(plan, { f, width, height, x, port, top, span });
  }

  // route is the points of a stripe's line, or null if there is none.
  route(plan, s) {
    if (s.path.length === 0) return null;
    const points = [[plan.x(0), plan.port(s.stripe)]];
    for (const node of s.path.slice(1)) {
      const b = plan.beads.get(node);
      const i = b.stripes.indexOf(s.stripe);
      points.push([b.x, b.y + (i - (b.stripes.length - 1) / 2) * Math.min(2, 8 / b.stripes.length)]);
    }
    points.push([plan.x(plan.us), plan.port(s.stripe)]);
    return points;
  }

  showStrands(plan) {
    const seen = new Set();
    for (const s of plan.f.stripes) {
      const points = this.route(plan, s);
      const state = !s.live ? "dead" : s.slow ? "slow" : "live";
      if (points) {
        this.strand(seen, plan, s, "in " + s.stripe + " " + s.path.join(" "), points, state, s.path);
      } else if (s.wanted && !plan.isRoot) {
        const [x, y] = [plan.x(plan.us), plan.port(s.stripe)];
        this.strand(seen, plan, s, "none " + s.stripe, [[x - 26, y], [x, y]], "dead", []);
      }
      for (const node of s.fed) {
        const b = plan.beads.get("child " + node);
        this.strand(seen, plan, s, "out " + s.stripe + " " + node,
          [[plan.x(plan.us), plan.port(s.stripe)], [b.x, b.y]], plan.isRoot || s.live || s.made ? "live" : "dead", [b.key]);
      }
    }
    const lost = this.lost(plan.f);
    for (const [key, g] of this.strands) {
      if (seen.has(key)) continue;
      this.strands.delete(key);
      const gone = g.through.some((node) => lost.has(node));
      g.setAttribute("class", gone ? "gone" : "left");
      setTimeout(() => g.remove(), gone ? 4000 : 800);
    }
  }

  strand(seen, plan, s, key, points, state, through) {
    seen.add(key);
    let g = this.strands.get(key);
    if (!g) {
      g = draw("g", {});
      g.append(draw("path", { class: "strand" }), draw("path", { class: "flow" }));
      g.style.setProperty("--hue", hue(s.stripe, plan.f));
      this.lines.append(g);
      this.strands.set(key, g);
    }
    g.through = through;
    const d = curve(points);
    if (g.d !== d) for (const path of g.children) path.setAttribute("d", d);
    g.d = d;
    const lit = g.classList.contains("lit") ? " lit" : "";
    g.setAttribute("class", state + lit);
    g.dataset.stripe = s.stripe;
  }

  // lost is the parents that were lost of late.
  lost(f) {
    return new Set(f.changes.filter((c) => c.lost && c.ago < 8).map((c) => c.from));
  }

  // showEnds draws the source and us, with a port for each stripe.
  showEnds(plan) {
    const f = plan.f, parts = [];
    const bar = (x, ports, text, anchor) => {
      parts.push(draw("rect", { class: "bar", x: x - 5, y: plan.top - 4, width: 10, height: plan.span + 8, rx: 5 }));
      for (const s of f.stripes) {
        const state = ports && (s.live || plan.isRoot ? (s.slow ? "slow" : "") : s.wanted ? "dead" : "idle");
        const dot = draw("circle", { class: "port " + (state || ""), cx: x, cy: plan.port(s.stripe), r: Math.min(2.6, plan.span / plan.n / 3) });
        dot.style.setProperty("--hue", hue(s.stripe, f));
        parts.push(dot);
      }
      const label = draw("text", { class: "end", x: anchor === "start" ? x - 5 : anchor === "end" ? x + 5 : x, y: 10, "text-anchor": anchor });
      label.textContent = text;
      parts.push(label);
    };
    bar(plan.x(0), plan.isRoot, "source", "start");
    if (!plan.isRoot) bar(plan.x(plan.us), true, f.role === "view" ? "you" : "this relay", plan.last > plan.us ? "middle" : "end");
    this.ends.replaceChildren(...parts);
  }

  showBeads(plan) {
    for (const b of plan.beads.values()) this.bead(plan, b);
    for (const [key, old] of this.beads) {
      if (plan.beads.has(key)) continue;
      this.beads.delete(key);
      old.g.classList.add("left");
      old.g.dataset.state = "left";
      old.g.tabIndex = -1;
      setTimeout(() => old.g.remove(), 800);
    }
    const order = this.order();
    if (!order.some((b) => b.g.tabIndex === 0) && order.length > 0) order[0].g.tabIndex = 0;
  }

  bead(plan, b) {
    let old = this.beads.get(b.key);
    if (!old) {
      const g = draw("g", { role: "listitem", tabindex: -1 });
      g.append(draw("circle", {}), draw("path", { d: "M-4-4 4 4M4-4-4 4" }), draw("text", {}));
      this.dots.append(g);
      this.beads.set(b.key, (old = { g, node: b.node }));
      g.dataset.node = b.node;
      g.dataset.key = b.key;
    }
    const g = old.g, dead = b.kind === "parent" && b.dead === b.stripes.length;
    const state = b.kind === "gone" ? "gone" : dead ? "dead" : b.slow ? "slow" : "live";
    Object.assign(old, { x: b.x, y: b.y, layer: b.layer, mean: b.mean, state });
    if (state === "gone") g.tabIndex = -1;
    g.setAttribute("class", `bead ${b.kind} ${state}`);
    g.dataset.state = state;
    g.style.transform = `translate(${b.x.toFixed(1)}px, ${b.y.toFixed(1)}px)`;
    const [circle, , text] = g.children, r = Math.min(9, 4.5 + b.stripes.length * 0.8);
    circle.setAttribute("r", b.kind === "parent" ? r : r - 1);
    text.setAttribute("y", r + 10);
    text.textContent = plan.width / (plan.last || 1) < 64 ? b.node.slice(0, 5) : b.node;
    old.says = this.words(plan.f, b, state);
    g.setAttribute("aria-label", old.says);
    if (this.at === g) this.detail.textContent = old.says;
  }

  words(f, b, state) {
    if (state === "gone") return `${b.node} fell silent.`;
    const stripes = list(b.stripes);
    if (b.kind === "child") return `${b.node} gets ${stripes} from here.`;
    if (b.kind === "relay") return `${b.node} passes on ${stripes} on the way here.`;
    const p = f.parents.find((p) => p.node === b.node);
    const says = { dead: ", and nothing comes", slow: ", too late", live: "" }[state];
    return `${b.node} feeds ${stripes}${says}. ` + (p ? `Round trip ${ms(p.rtt)}, ${ms(p.late)} behind the first stripe.` : "");
  }

  order() {
    return [...this.beads.values()].filter((b) => b.state !== "gone").sort((a, b) => a.x - b.x || a.y - b.y);
  }

  // step goes from bead to bead with the arrow keys.
  step(e) {
    const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[e.key];
    const order = this.order(), i = order.findIndex((b) => b.g === e.target);
    if (!by || i < 0) return;
    e.preventDefault();
    const next = order[(i + by + order.length) % order.length].g;
    e.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }

  // point shows one bead's stripes, and says what it is.
  point(g) {
    this.at = g;
    this.svg.classList.toggle("dim", Boolean(g));
    for (const line of this.strands.values()) line.classList.toggle("lit", Boolean(g) && line.through.includes(g.dataset.key));
    const b = g && this.beads.get(g.dataset.key);
    this.detail.textContent = b ? b.says : this.hint;
  }
}

// Chart draws what there is to each stripe of a source: the free slots of those who
// have it as a home stripe, and how many those are.
class Chart {
  constructor(host) {
    this.host = host;
    this.svg = draw("svg", { role: "img", class: "chart" });
    host.append(this.svg);
    this.posts = [];
    new ResizeObserver(() => this.source && this.show(this.source)).observe(host);
  }

  show(source) {
    this.source = source;
    const all = source.per_stripe, width = Math.max(260, Math.round(this.host.clientWidth)), base = 96;
    const height = base + 22 + 5 * Math.max(1, ...all.map((s) => Math.min(s.relays, 8)));
    const each = width / Math.max(1, all.length), most = Math.max(4, ...all.map((s) => s.free));
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("aria-label", all.map((s) => `stripe ${s.stripe}: ${s.free} free slots of ${s.relays} relays`).join(", "));
    while (this.posts.length < all.length) this.posts.push(this.svg.appendChild(draw("rect", { rx: 2 })));
    while (this.posts.length > all.length) this.posts.pop().remove();
    const rest = [draw("line", { class: "axis", x1: 0, x2: width, y1: base + 0.5, y2: base + 0.5 })];
    const text = (x, y, words) => {
      const t = draw("text", { x, y });
      t.textContent = words;
      rest.push(t);
    };
    all.forEach((s, i) => {
      const x = each * (i + 0.5), w = Math.min(18, each * 0.62), h = Math.max(1, (base - 14) * (s.free / most));
      const post = this.posts[i];
      post.setAttribute("class", "post" + (s.stripe === source.thin ? " thin" : ""));
      for (const [k, v] of Object.entries({ x: x - w / 2, width: w, y: base - h, height: h })) post.setAttribute(k, v.toFixed(1));
      if (each >= 15) text(x, base - h - 3, s.free);
      const pegs = Math.min(s.relays, 8);
      for (let j = 0; j < pegs; j++) rest.push(draw("rect", { class: "peg", x: x - 3, y: base + 5 + j * 5, width: 6, height: 3, rx: 1 }));
      if (each >= 15 || i % 4 === 0) text(x, height - 2, s.stripe);
    });
    this.rest?.remove();
    this.rest = this.svg.appendChild(draw("g", {}));
    this.rest.append(...rest);
  }
}

function draw(name, attributes) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  return e;
}

// curve goes through the points, level at each.
function curve(points) {
  const at = (v) => v.toFixed(1);
  let d = `M${at(points[0][0])} ${at(points[0][1])}`;
  for (let i = 1; i < points.length; i++) {
    const [x0, y0] = points[i - 1], [x1, y1] = points[i], mid = (x0 + x1) / 2;
    d += `C${at(mid)} ${at(y0)} ${at(mid)} ${at(y1)} ${at(x1)} ${at(y1)}`;
  }
  return d;
}

// hue tells data stripes, from green to blue, from parity, which is violet.
function hue(stripe, f) {
  return stripe >= f.k ? 262 : 165 + (45 * stripe) / Math.max(1, f.k - 1);
}

// list names stripes, with runs of three and more as one.
function list(stripes) {
  const all = [...stripes].sort((a, b) => a - b), parts = [];
  for (let i = 0; i < all.length; ) {
    let j = i;
    while (all[j + 1] === all[j] + 1) j++;
    if (j - i >= 2) parts.push(`${all[i]}–${all[j]}`);
    else for (let x = i; x <= j; x++) parts.push(all[x]);
    i = j + 1;
  }
  return (all.length === 1 ? "stripe " : "stripes ") + parts.join(", ");
}

function ms(seconds) {
  return seconds < 0.0095 ? `${(seconds * 1000).toFixed(1)} ms` : seconds < 0.9995 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;
}
