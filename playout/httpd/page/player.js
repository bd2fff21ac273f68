"use strict";
// Screen plays the stream in a video element: by the browser's own HLS where it has
// that, else by Player, else as it comes.
class Screen {
  constructor(video, word, back) {
    this.video = video;
    this.word = word;
    this.back = back;
    this.live = document.body.dataset.live;
    this.plain = document.body.dataset.stream;
    back.addEventListener("click", () => this.toLive());
    for (const event of ["playing", "pause", "waiting", "volumechange", "timeupdate"]) video.addEventListener(event, () => this.look());
  }

  // tell brings news of the stream: what it is, and whether it is over.
  tell(f) {
    if (f.stream && !f.ended && (f.media !== this.media || this.over)) {
      this.media = f.media;
      this.start();
    }
    this.over = f.ended;
    this.watch(f);
  }

  // watch begins again when what plays has ended and the stream has not, and gives up the
  // browser's own HLS if its picture stands still while the stream goes on.
  watch(f) {
    const v = this.video, moves = v.paused || v.currentTime !== this.time || f.played === this.played;
    this.still = moves ? 0 : (this.still || 0) + 1;
    [this.time, this.played] = [v.currentTime, f.played];
    if (v.ended && !f.ended && f.stream) this.start();
    else if (this.still >= 15 && v.dataset.player === "native") this.ours();
  }

  start() {
    this.player?.stop();
    this.player = null;
    const ours = new URLSearchParams(location.search).get("player") === "ours";
    const native = this.video.canPlayType("application/vnd.apple.mpegurl") !== "";
    if (this.media !== "ts") this.open(this.plain, "as it comes", () => this.say("This browser does not play this sound. Open the stream in a player."));
    else if (native && !ours) this.open(this.live, "native", () => this.ours());
    else this.ours();
  }

  open(url, how, otherwise) {
    this.video.dataset.player = how;
    this.video.onerror = () => {
      this.video.onerror = null;
      otherwise();
    };
    this.video.src = url;
    this.play();
  }

  ours() {
    this.video.onerror = null;
    if (!window.MediaSource) {
      this.say("This browser plays no such stream. Open it in a player.");
      return;
    }
    this.video.dataset.player = "ours";
    this.player = new Player(this.video, this.live, (text) => this.say(text));
    this.player.run();
    this.play();
  }

  play() {
    this.video.play().catch((error) => {
      if (error.name === "NotAllowedError") this.say("Press play.");
    });
  }

  // edge is the time of the newest that there is, or NaN.
  edge() {
    const r = this.video.seekable.length ? this.video.seekable : this.video.buffered;
    return r.length ? r.end(r.length - 1) : NaN;
  }

  toLive() {
    if (this.player) this.player.follow();
    else if (this.edge() > 0) this.video.currentTime = Math.max(0, this.edge() - 3);
    this.play();
  }

  say(text) {
    this.trouble = text;
    put(this.word, text);
  }

  // look says how it plays.
  look() {
    const v = this.video, behind = this.edge() - v.currentTime;
    this.back.hidden = !(behind > 12);
    if (v.paused) {
      if (!this.trouble) put(this.word, "Paused.");
      return;
    }
    if (v.readyState < 3) return;
    this.trouble = "";
    put(this.word, (behind > 12 ? `${Math.round(behind)} s behind live.` : "Live.") + (v.muted ? " Without sound: it is muted." : ""));
  }
}

// How far behind the newest Player plays, and how much it keeps; seconds.
const slack = 0.4; // more than the server asks for
const most = 4; // more than that, if the picture stood still
const drift = 0.6; // off the aim before the speed is changed
const leap = 4; // off the aim before it is jumped
const kept = 30; // behind the playhead
const patience = 8; // without news before it begins again
const begins = 35; // for the first playlist, which the server may keep until there is something

// Player plays live HLS with fMP4 segments or parts (RFC 8216bis) by Media Source
// Extensions: one SourceBuffer for each rendition, filled from its playlist.
class Player {
  constructor(video, url, say) {
    Object.assign(this, { video, url: new URL(url, location.href).href, say, following: true, hold: 2, more: 0, tries: 0 });
    this.onseek = () => {
      if (Math.abs(video.currentTime - (this.jumped ?? -1)) > 0.2) this.following = this.behind() < this.aim() + leap;
    };
    this.onpause = () => (this.following = false);
    this.onwait = () => {
      if (this.began && this.following) this.more = Math.min(most, this.more + 0.5); // too near
    };
    video.addEventListener("seeking", this.onseek);
    video.addEventListener("pause", this.onpause);
    video.addEventListener("waiting", this.onwait);
  }

  // run plays until stop, beginning again whenever something breaks.
  async run() {
    this.timer = setInterval(() => this.keep(), 250);
    while (!this.stopped) {
      this.abort = new AbortController();
      try {
        await this.session();
      } catch (error) {
        if (this.stopped) return;
        if (error.final) {
          this.say(error.message);
          return this.stop();
        }
        if (this.tries++ > 0) this.say(`${error.message}. Trying again.`);
      }
      this.abort.abort();
      this.began = false;
      if (this.finished) return clearInterval(this.timer);
      await pause(Math.min(4000, 500 * this.tries));
    }
  }

  stop() {
    this.stopped = true;
    clearInterval(this.timer);
    this.abort?.abort();
    this.video.removeEventListener("seeking", this.onseek);
    this.video.removeEventListener("pause", this.onpause);
    this.video.removeEventListener("waiting", this.onwait);
  }

  // session plays from the live edge on until the end, or an error.
  async session() {
    const tracks = await this.tracks();
    for (const t of tracks) {
      if (!MediaSource.isTypeSupported(t.type)) throw final(`This browser does not play ${t.type}. Open the stream in a player.`);
    }
    const source = new MediaSource(), opened = new Promise((done) => source.addEventListener("sourceopen", done, { once: true }));
    const url = URL.createObjectURL(source);
    this.began = false;
    this.video.src = url;
    await opened;
    URL.revokeObjectURL(url);
    this.video.play().catch(() => {}); // Screen has asked already, and says why not
    this.following = true;
    source.duration = Infinity;
    for (const t of tracks) t.buffer = source.addSourceBuffer(t.type);
    this.buffers = tracks.map((t) => t.buffer);
    await Promise.all(tracks.map((t) => this.feed(t)));
    if (source.readyState === "open") source.endOfStream();
    this.finished = true;
  }

  // tracks is the playlists to follow, each with its MIME type.
  async tracks() {
    const list = parse(await this.text(this.url), this.url);
    if (list.variants.length === 0) throw final("The playlist names no codecs. Open the stream in a player.");
    const best = list.variants.reduce((a, b) => (b.bandwidth > a.bandwidth ? b : a));
    const codecs = best.codecs.split(",").map((c) => c.trim()).filter(Boolean);
    const isSound = (c) => /^(mp4a|opus|ac-3|ec-3|fLaC|flac)/.test(c);
    const sound = list.renditions.find((r) => r.group === best.audio && r.url && r.isDefault) ||
      list.renditions.find((r) => r.group === best.audio && r.url);
    const type = (kind, all) => `${kind}/mp4; codecs="${all.join(",")}"`;
    const kind = codecs.some((c) => !isSound(c)) ? "video" : "audio";
    if (!sound || sound.url === best.url) return [{ url: best.url, type: type(kind, codecs) }];
    return [
      { url: best.url, type: type(kind, codecs.filter((c) => !isSound(c))) },
      { url: sound.url, type: type("audio", codecs.filter(isSound)) },
    ];
  }

  // feed appends what a playlist has, as it comes, until its end.
  async feed(track) {
    let list = await this.list(track.url), at = null, init = "", heard = performance.now();
    for (;;) {
      if (!at) {
        at = start(list);
        this.hold = list.hold;
      }
      for (const piece of next(list, at)) {
        if (piece.map && piece.map !== init) {
          await this.append(track.buffer, await this.bytes(piece.map));
          init = piece.map;
        }
        const end = ending(track.buffer);
        await this.append(track.buffer, await this.bytes(piece.url));
        if (piece.breaks && this.began && ending(track.buffer) <= end) throw new Error("The stream begins anew");
        this.began = true;
        this.tries = 0;
        heard = performance.now();
      }
      if (list.ended) return;
      if (performance.now() - heard > 1000 * (patience + list.target)) throw new Error("Nothing new comes");
      const asked = performance.now();
      list = await this.list(track.url, list.blocks ? at : null);
      // Who answers at once although there is nothing new is not asked at once again.
      const rest = (list.blocks ? 100 : 500 * Math.min(list.target, list.part || list.target)) - (performance.now() - asked);
      if (rest > 0) await pause(rest);
    }
  }

  // list fetches a playlist; if at is given, as soon as it has what comes there.
  async list(url, at) {
    const u = new URL(url);
    if (at) {
      u.searchParams.set("_HLS_msn", at.number);
      if (at.parts) u.searchParams.set("_HLS_part", at.part);
    }
    return parse(await this.text(u.href), url);
  }

  // get fetches a whole answer, as "text" or "arrayBuffer".
  async get(url, how) {
    const request = new AbortController(), end = () => request.abort(), session = this.abort.signal;
    const late = setTimeout(end, 1000 * (url === this.url ? begins : patience));
    session.addEventListener("abort", end);
    try {
      const answer = await fetch(url, { signal: request.signal });
      if (url === this.url && (answer.status === 404 || answer.status === 415)) throw final(`There is no picture here: ${(await answer.text()).trim()}.`);
      if (!answer.ok) throw new Error(`The stream's server answers ${answer.status}`);
      return await answer[how]();
    } catch (error) {
      throw error.name === "AbortError" ? new Error("The stream's server does not answer") : error;
    } finally {
      clearTimeout(late);
      session.removeEventListener("abort", end);
    }
  }

  text(url) {
    return this.get(url, "text");
  }

  bytes(url) {
    return this.get(url, "arrayBuffer");
  }

  // append gives a buffer some bytes. If it is full, what was played goes first.
  async append(buffer, bytes) {
    for (let i = 0; ; i++) {
      await idle(buffer);
      try {
        buffer.appendBuffer(bytes);
        await idle(buffer);
        if (this.video.error) throw new Error(`The browser cannot decode this (${this.video.error.message || this.video.error.code})`);
        return;
      } catch (error) {
        if (error.name !== "QuotaExceededError" || i > 2) throw error;
        await this.trim(buffer, 5);
      }
    }
  }

  // trim forgets what lies so many seconds behind the playhead.
  async trim(buffer, seconds) {
    const to = this.video.currentTime - seconds;
    if (buffer.buffered.length === 0 || buffer.buffered.start(0) >= to) return;
    await idle(buffer);
    buffer.remove(0, to);
    await idle(buffer);
  }

  aim() {
    return this.hold + slack + this.more;
  }

  behind() {
    const b = this.video.buffered;
    return b.length ? b.end(b.length - 1) - this.video.currentTime : 0;
  }

  jump(to) {
    this.jumped = to;
    this.video.currentTime = to;
  }

  // follow goes to the live edge, and stays there.
  follow() {
    const b = this.video.buffered;
    this.following = true;
    if (b.length) this.jump(Math.max(b.start(b.length - 1), b.end(b.length - 1) - this.aim()));
  }

  // keep holds the playhead where it should be: in what there is, near the live edge.
  keep() {
    const v = this.video, b = v.buffered;
    if (!this.began || b.length === 0) return;
    const now = v.currentTime, behind = this.behind();
    let inside = false;
    for (let i = 0; i < b.length; i++) inside ||= b.start(i) - 0.01 <= now && now < b.end(i);
    if (!inside) {
      for (let i = 0; i < b.length; i++) {
        if (b.start(i) > now && b.end(i) - b.start(i) > 0.1) return this.jump(b.start(i) + 0.01);
      }
    }
    if (v.paused && !v.ended && this.following && now === 0) v.play().catch(() => {});
    if (this.following && !v.paused) {
      if (behind > this.aim() + leap) this.follow();
      const off = behind - this.aim(), speed = off > drift ? 1.06 : off < -drift ? 0.96 : 1;
      if (v.playbackRate !== speed && (speed !== 1 || Math.abs(off) < drift / 3)) v.playbackRate = speed;
    }
    for (const buffer of this.buffers) {
      if (!buffer.updating && buffer.buffered.length && buffer.buffered.start(0) < now - kept - 10) buffer.remove(0, now - kept);
    }
  }
}

function final(message) {
  return Object.assign(new Error(message), { final: true });
}

// ending is where what a buffer holds ends.
function ending(buffer) {
  const b = buffer.buffered;
  return b.length ? b.end(b.length - 1) : 0;
}

function pause(milliseconds) {
  return new Promise((done) => setTimeout(done, milliseconds));
}

// idle waits until a buffer takes more.
function idle(buffer) {
  return new Promise((done, fail) => {
    if (!buffer.updating) return done();
    buffer.onupdateend = done;
    buffer.onerror = () => fail(new Error("The browser cannot decode this"));
  });
}

// parse reads a playlist: a list of variants, or of segments with their parts.
function parse(text, base) {
  if (!text.startsWith("#EXTM3U")) throw new Error("This is no playlist");
  const list = { variants: [], renditions: [], segments: [], target: 2, part: 0, hold: 0, blocks: false, ended: false };
  const url = (u) => new URL(u, base).href;
  let number = 0, map = "", variant = null, segment = null, holdBack = 0;
  const open = () => (segment ||= { number, map, parts: [], url: "", duration: 0, gap: false, breaks: false });
  for (const line of text.split(/\r?\n/)) {
    const [, tag, rest] = /^#(EXT[^:]*):?(.*)$/.exec(line) || [];
    const a = tag && rest.includes("=") ? attributes(rest) : {};
    if (tag === "EXT-X-STREAM-INF") variant = { bandwidth: Number(a.BANDWIDTH) || 0, codecs: a.CODECS || "", audio: a.AUDIO };
    else if (tag === "EXT-X-MEDIA" && a.TYPE === "AUDIO") list.renditions.push({ group: a["GROUP-ID"], url: a.URI && url(a.URI), isDefault: a.DEFAULT === "YES" });
    else if (tag === "EXT-X-TARGETDURATION") list.target = Number(rest);
    else if (tag === "EXT-X-MEDIA-SEQUENCE") number = Number(rest);
    else if (tag === "EXT-X-PART-INF") list.part = Number(a["PART-TARGET"]);
    else if (tag === "EXT-X-SERVER-CONTROL") {
      list.blocks = a["CAN-BLOCK-RELOAD"] === "YES";
      list.hold = Number(a["PART-HOLD-BACK"]) || 0;
      holdBack = Number(a["HOLD-BACK"]) || 0;
    } else if (tag === "EXT-X-MAP") map = url(a.URI);
    else if (tag === "EXT-X-DISCONTINUITY") open().breaks = true;
    else if (tag === "EXT-X-GAP") open().gap = true;
    else if (tag === "EXTINF") open().duration = parseFloat(rest);
    else if (tag === "EXT-X-PART") open().parts.push({ url: url(a.URI), duration: Number(a.DURATION), gap: a.GAP === "YES" });
    else if (tag === "EXT-X-ENDLIST") list.ended = true;
    else if (tag || line === "" || line.startsWith("#")) continue;
    else if (variant) {
      list.variants.push({ ...variant, url: url(line) });
      variant = null;
    } else {
      list.segments.push(Object.assign(open(), { url: url(line), map }));
      segment = null;
      number++;
    }
  }
  if (segment && segment.parts.length > 0) list.segments.push({ ...segment, map });
  list.hold ||= list.part ? 3 * list.part : holdBack || 3 * list.target;
  return list;
}

// attributes reads NAME=value,NAME="value".
function attributes(text) {
  const all = {};
  for (const [, name, value] of text.matchAll(/([A-Z0-9-]+)=("[^"]*"|[^,]*)/g)) all[name] = value.replace(/^"|"$/g, "");
  return all;
}

// start is where to begin: at the last segment that leaves as much after it as the
// server wants to be held back.
function start(list) {
  let after = 0;
  for (let i = list.segments.length - 1; i >= 0; i--) {
    const s = list.segments[i];
    after += s.url ? s.duration : s.parts.reduce((sum, p) => sum + p.duration, 0);
    if (after >= list.hold && s.url) return { number: s.number, part: 0, parts: list.part > 0 };
  }
  return { number: list.segments[0]?.number ?? 0, part: 0, parts: list.part > 0 };
}

// next yields what there is to append from a place on, and moves the place.
function* next(list, at) {
  for (const s of list.segments) {
    if (s.number < at.number) continue;
    if (s.number > at.number) Object.assign(at, { number: s.number, part: 0 }); // we came too late for what was between
    if (s.url && (at.part === 0 || s.parts.length === 0)) {
      if (at.part === 0 && !s.gap) yield { url: s.url, map: s.map, breaks: s.breaks };
    } else {
      for (; at.part < s.parts.length; at.part++) {
        const p = s.parts[at.part];
        if (!p.gap) yield { url: p.url, map: s.map, breaks: s.breaks && at.part === 0 };
      }
    }
    if (s.url) Object.assign(at, { number: s.number + 1, part: 0 });
  }
}
