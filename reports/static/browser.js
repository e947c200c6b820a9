// The example browser: filters, sorts, searches and shows rows of a data block; text is set as text, never as markup.
"use strict";
(() => {
  const section = document.getElementById("browser");
  const packed = section && gi.data("browser-data");
  if (!packed) return;
  const { rows, said, images, texts, lists, paths, names } = packed;
  const count = rows.index.length;
  const all = said.map((_, i) => i);
  const { el } = gi;
  const PAGE = 50, FOLD = 420, MOST_WORDS = 400;
  const KIND = { q: "question", p: "phrase" };
  const STATES = {
    r: ["✓", "right"], w: ["✗", "wrong"], u: ["?", "unread"], "-": ["–", "nothing to judge by"],
    n: ["○", "no reply"], x: ["", "row not covered"],
  };
  const REPLIES = { s: "stated", d: "denied", r: "refused", u: "unreadable", n: "not given" };
  const at = (id) => document.getElementById("browse-" + id);
  const text = (place) => (place < 0 ? "" : texts[place]);
  const listed = (place) => (place < 0 ? [] : lists[place].map(text));
  const number = (value) => (value < 0 ? "" : (value / 1000).toFixed(value === 1000 ? 1 : 2));
  const many = (n) => n.toLocaleString("en");
  const keyOf = (row) => `${KIND[rows.kind[row]]}-${rows.index[row]}`;
  const rowOf = new Map(Array.from({ length: count }, (_, row) => [keyOf(row), row]));
  let visible = all, found = [], page = 0, current = -1;
  const layers = { reference: true, runs: said.map(() => true) };

  // ---- what a row is, for the runs that are shown
  const FIELDS = ["run", "outcome", "kind", "class", "complexity", "training", "sort"];
  const chosen = () => {
    const run = Number(at("run").value || -1);
    return visible.includes(run) ? [run] : visible;
  };
  const seenBy = (row, runs) => {
    const seen = images.seen[rows.image[row]];
    const known = runs.map((run) => seen[run]).filter((one) => one !== ".");
    return known.length ? (known.includes("1") ? "seen" : "unseen") : "";
  };
  const OUTCOMES = {
    right: (row, runs) => runs.some((run) => said[run].state[row] === "r"),
    wrong: (row, runs) => runs.some((run) => said[run].state[row] === "w"),
    unread: (row, runs) => runs.some((run) => said[run].state[row] === "u"),
    silent: (row, runs) => runs.some((run) => said[run].state[row] === "n"),
    mixed: (row) => {
      const states = visible.map((run) => said[run].state[row]);
      return states.includes("r") && states.some((state) => "wun".includes(state));
    },
    differ: (row) => apart[row] > 0,
    alarm: (row, runs) => runs.some((run) => said[run].alarm[row] !== "0"),
    "alarm-answer": (row, runs) => runs.some((run) => said[run].alarm[row] & 1),
    "alarm-region": (row, runs) => runs.some((run) => said[run].alarm[row] & 2),
  };
  let apart = new Float32Array(count);
  function measure() {
    apart = new Float32Array(count);
    for (let row = 0; row < count; row++) apart[row] = rows.kind[row] === "q" ? wordsApart(row) : regionsApart(row);
  }
  function wordsApart(row) {
    let pairs = 0, other = 0;
    for (let i = 0; i < visible.length; i++) {
      const one = said[visible[i]].says[row];
      if (one < 0) continue;
      for (let j = i + 1; j < visible.length; j++) {
        const two = said[visible[j]].says[row];
        if (two < 0) continue;
        pairs++;
        if (one !== two) other++;
      }
    }
    return pairs ? other / pairs : 0;
  }
  function regionsApart(row) {
    const steps = text(rows.apart[row]), runs = said.length;
    let pairs = 0, sum = 0;
    for (let i = 0; i < visible.length; i++) {
      for (let j = i + 1; j < visible.length; j++) {
        const a = visible[i], b = visible[j];
        const step = steps[a * runs - (a * (a + 1)) / 2 + b - a - 1];
        if (step === undefined || step === ".") continue;
        pairs++;
        sum += parseInt(step, 36) / 35;
      }
    }
    return pairs ? sum / pairs : 0;
  }

  // ---- filtering
  let lower = null;
  function hits(wanted) {
    lower = lower || texts.map((one) => one.toLowerCase());
    const hit = new Uint8Array(texts.length);
    for (let i = 0; i < lower.length; i++) if (lower[i].includes(wanted)) hit[i] = 1;
    return hit;
  }
  function searched(row, hit) {
    const own = [rows.text, rows.reference, rows.explanation];
    if (own.some((column) => column[row] >= 0 && hit[column[row]]) || hit[images.id[rows.image[row]]]) return true;
    for (const run of visible) {
      const one = said[run];
      for (const column of [one.answer, one.explanation, one.phrase, one.wrote]) if (column[row] >= 0 && hit[column[row]]) return true;
    }
    return false;
  }
  function matches() {
    const runs = chosen(), value = Object.fromEntries(FIELDS.map((name) => [name, at(name).value]));
    const wanted = at("search").value.trim().toLowerCase(), hit = wanted ? hits(wanted) : null;
    const outcome = OUTCOMES[value.outcome], kept = [];
    const [kind, name] = value.class ? [value.class[0], value.class.slice(2)] : [];
    const classes = kind ? lists.map((list) => list.some((place) => texts[place] === name)) : null;
    for (let row = 0; row < count; row++) {
      if (value.kind === "absent" ? rows.absent[row] !== "1" : value.kind && rows.kind[row] !== value.kind) continue;
      if (kind && (rows.kind[row] !== kind || rows.classes[row] < 0 || !classes[rows.classes[row]])) continue;
      if (value.complexity && String(rows.complexity[row]) !== value.complexity) continue;
      if (value.training && seenBy(row, runs) !== value.training) continue;
      if (outcome && !outcome(row, runs)) continue;
      if (hit && !searched(row, hit)) continue;
      kept.push(row);
    }
    return sorted(kept, value.sort, runs);
  }
  function sorted(kept, sort, runs) {
    if (sort === "disagreement") {
      const split = (row) => Number(OUTCOMES.mixed(row));
      return kept.sort((a, b) => apart[b] - apart[a] || split(b) - split(a) || a - b);
    }
    const [column, way] = sort.split("-");
    if (column !== "confidence" && column !== "iou") return kept;
    const values = new Map(kept.map((row) => {
      const known = runs.map((run) => said[run][column][row]).filter((one) => one >= 0);
      return [row, known.length ? known.reduce((sum, one) => sum + one, 0) / known.length : null];
    }));
    const sign = way === "up" ? 1 : -1;
    return kept.sort((a, b) => {
      const x = values.get(a), y = values.get(b);
      // What has no value stands last, whichever way.
      if (x === null || y === null) return (x === null) - (y === null) || a - b;
      return sign * (x - y) || a - b;
    });
  }

  // ---- the list
  function filter({ keep = false } = {}) {
    found = matches();
    // Another filter or order begins at its first row; a link, or a run switched off, leaves the example alone.
    if (!keep || current < 0) current = found.length ? found[0] : -1;
    page = Math.max(0, Math.floor(found.indexOf(current) / PAGE));
    const share = found.length === count ? `All ${many(count)} rows` : `${many(found.length)} of ${many(count)} rows`;
    const who = visible.length === all.length ? "" : `, ${visible.length} of ${all.length} runs`;
    at("status").textContent = share + who;
    list();
    show();
  }
  function list() {
    const from = page * PAGE, part = found.slice(from, from + PAGE);
    at("list").replaceChildren(...part.map(item));
    if (!part.length) at("list").append(el("li", { class: "none", text: "No row fits these filters." }));
    at("list").scrollTop = 0;
    const last = Math.max(0, Math.ceil(found.length / PAGE) - 1);
    at("pager").hidden = !last;
    at("previous").disabled = page === 0;
    at("next").disabled = page >= last;
    at("place").textContent = part.length ? `${many(from + 1)} to ${many(from + part.length)}` : "";
    mark();
  }
  function item(row) {
    const marks = el("span", { class: "marks", "aria-hidden": "true" }, ...visible.map((run) => {
      const state = said[run].state[row], alarm = said[run].alarm[row] !== "0";
      return el("span", { class: `mark run-${run % 8} is-${state}`, title: `${names[run]}: ${STATES[state][1]}${alarm ? ", false alarm" : ""}` },
        el("b", { text: STATES[state][0] || " " }), alarm ? el("i", { text: "!" }) : null);
    }));
    const told = visible.map((run) => STATES[said[run].state[row]][1]);
    const spoken = [...new Set(told)].map((one) => `${told.filter((other) => other === one).length} ${one}`).join(", ");
    const button = el("button", { type: "button", class: "row", "data-row": row, tabindex: "-1" },
      el("span", { class: "asked", text: short(text(rows.text[row]), 140) || "(empty)" }),
      el("span", { class: "below" }, el("span", { class: "soft", text: KIND[rows.kind[row]] }), marks,
        el("span", { class: "spoken", text: `: ${spoken}` })));
    return el("li", {}, button);
  }
  const short = (one, most) => (one.length > most ? one.slice(0, most) + "…" : one);
  function mark() {
    const buttons = [...at("list").querySelectorAll("button.row")];
    let stop = null;
    for (const button of buttons) {
      const own = Number(button.dataset.row) === current;
      button.toggleAttribute("aria-current", own);
      if (own) { button.setAttribute("aria-current", "true"); stop = button; }
      button.tabIndex = -1;
    }
    if (stop || buttons[0]) (stop || buttons[0]).tabIndex = 0;
    return stop;
  }
  function select(row, { focus = false } = {}) {
    current = row;
    const place = found.indexOf(row), wanted = place < 0 ? page : Math.floor(place / PAGE);
    if (wanted !== page) { page = wanted; list(); }
    const button = mark();
    if (button) {
      const box = at("list"), top = button.offsetTop - box.offsetTop;
      if (top < box.scrollTop) box.scrollTop = top;
      else if (top + button.offsetHeight > box.scrollTop + box.clientHeight) box.scrollTop = top + button.offsetHeight - box.clientHeight;
      if (focus) button.focus({ preventScroll: true });
    }
    show();
    keep();
  }
  function step(by) {
    if (!found.length) return;
    const place = found.indexOf(current);
    const next = place < 0 ? 0 : Math.min(found.length - 1, Math.max(0, place + by));
    select(found[next], { focus: !at("zoom").open });
  }

  // ---- one example
  function show() {
    const box = at("example");
    if (current < 0) { box.replaceChildren(el("p", { class: "soft", text: "No example." })); return; }
    const row = current;
    const tags = [KIND[rows.kind[row]], ...listed(rows.classes[row]).map((one) => one.replaceAll("_", " "))];
    if (rows.complexity[row]) tags.push(`complexity ${rows.complexity[row]}`);
    if (rows.absent[row] === "1") tags.push("absent");
    const seen = seenBy(row, visible);
    if (seen) tags.push(`${seen} in training`);
    box.replaceChildren(
      el("header", {},
        el("h3", { id: "browse-asked" }, folded(text(rows.text[row]) || "(empty)")),
        el("p", { class: "tags" }, ...tags.map((one) => el("span", { class: "tag", text: short(one, 60) })))),
      el("div", { class: "sides" }, shot(row), el("div", { class: "saids" }, reference(row), ...visible.map((run) => card(row, run)))),
      el("p", { class: "soft where" }, `${KIND[rows.kind[row]]} ${rows.index[row]}, image `, el("code", { text: short(text(images.id[rows.image[row]]), 80) }), " · ",
        el("a", { href: "#" + new URLSearchParams(stated()).toString(), text: "link to this example" })));
    if (at("zoom").open) enlarged();
  }
  function folded(whole, limit = FOLD) {
    if (whole.length <= limit) return el("span", { class: "long", text: whole });
    const fold = el("details", { class: "fold" }, el("summary", { text: `whole text, ${many(whole.length)} characters` }));
    // Filled when it is opened: a text of 100 kB is laid out only for those who want it.
    fold.addEventListener("toggle", () => { if (fold.children.length === 1) fold.append(el("div", { class: "whole", text: whole })); });
    return el("span", {}, el("span", { class: "long", text: whole.slice(0, limit - 120) + "…" }), fold);
  }
  function line(label, ...content) {
    return el("div", { class: "line" }, el("span", { class: "label", text: label }), el("div", {}, ...content));
  }
  function reference(row) {
    const box = el("section", { class: "said reference", "aria-label": "Reference" }, el("h4", {}, el("i", { class: "key", "aria-hidden": "true" }), "Reference"));
    if (rows.kind[row] === "q") {
      box.append(line("answer", rows.reference[row] < 0 ? el("span", { class: "soft", text: "hidden" }) : folded(text(rows.reference[row]))));
      const also = listed(rows.also[row]), options = listed(rows.options[row]);
      if (options.length) box.append(line("options", folded(options.join(" | "))));
      if (also.length) box.append(line("also right", folded(also.join(" | "))));
      const wanted = listed(rows.wanted[row]), read = listed(rows.read[row]);
      if (wanted.length) {
        box.append(line("facts", el("ul", { class: "facts" }, ...listed(rows.asked[row]).map((slug, i) =>
          el("li", { text: `${slug.replaceAll("_", " ")}: ${wanted[i]}${read[i] === wanted[i] ? "" : ` (read from this text: ${read[i]})`}` })))));
      }
      if (rows.explanation[row] >= 0) box.append(line("explanation", folded(text(rows.explanation[row]))));
    }
    const outline = rows.region[row];
    const none = rows.absent[row] === "1" ? "nothing: it is absent" : "no reference region";
    if (rows.kind[row] === "p" || outline >= 0) box.append(line("region", outline >= 0 && paths[outline] ? "drawn as a solid line" : none));
    return box;
  }
  function card(row, run) {
    const one = said[run], state = one.state[row];
    const meta = [];
    if (one.confidence[row] >= 0) meta.push(`confidence ${number(one.confidence[row])}`);
    if (one.reply[row] !== ".") meta.push(`reply ${REPLIES[one.reply[row]]}`);
    if (one.iou[row] >= 0) meta.push(`IoU ${number(one.iou[row])}`);
    const badges = [el("span", { class: `badge is-${state}`, text: `${STATES[state][0]} ${STATES[state][1]}`.trim() })];
    if (one.alarm[row] !== "0") badges.push(el("span", { class: "badge is-alarm", text: "! false alarm" }));
    const box = el("section", { class: `said run-${run % 8}`, "aria-label": short(names[run], 80), "data-of": run },
      el("h4", {}, el("i", { class: `key dash-${run % 4}`, "aria-hidden": "true" }), el("span", { class: "name", text: short(names[run], 80) }), ...badges),
      meta.length ? el("p", { class: "meta soft", text: meta.join(" · ") }) : null);
    if (state === "x") return box;
    if (rows.kind[row] === "q" && one.answer[row] >= 0) box.append(line("answer", compared(text(rows.reference[row]), text(one.answer[row]), rows.reference[row] >= 0)));
    const read = listed(one.read[row]), wanted = listed(rows.wanted[row]);
    if (read.length) {
      box.append(line("facts read", el("ul", { class: "facts" }, ...listed(rows.asked[row]).map((slug, i) => {
        const right = read[i] === wanted[i];
        return el("li", { class: right ? "fits" : "differs", text: `${right ? "✓" : "✗"} ${slug.replaceAll("_", " ")}: ${read[i]}` });
      }))));
    }
    if (one.explanation[row] >= 0) {
      const state = REPLIES[one.explained[row]];
      box.append(line("explanation", folded(text(one.explanation[row])), state && state !== "stated" ? el("span", { class: "soft", text: ` (${state})` }) : null));
    }
    const region = one.region[row];
    if (region >= 0) {
      const phrase = one.phrase[row] >= 0 && rows.kind[row] === "q" ? [" for “", folded(text(one.phrase[row]), 160), "”"] : [];
      box.append(line("region", paths[region] ? "shown" : "nothing shown", ...phrase));
    }
    if (one.wrote[row] >= 0) box.append(line("wrote", folded(text(one.wrote[row]), 200)));
    return box;
  }

  // ---- words that differ from the reference
  const words = (one) => one.split(/\s+/).filter(Boolean);
  const plain = (word) => word.toLowerCase().replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, "") || word;
  function compared(wanted, given, known) {
    const a = words(wanted), b = words(given);
    if (!given.trim()) return el("span", { class: "soft", text: "(empty)" });
    if (!known || a.length > MOST_WORDS || b.length > MOST_WORDS || given.length > 12 * MOST_WORDS) return folded(given);
    const x = a.map(plain), y = b.map(plain), width = b.length + 1;
    const table = new Uint16Array((a.length + 1) * width);
    for (let i = a.length - 1; i >= 0; i--) {
      for (let j = b.length - 1; j >= 0; j--) {
        table[i * width + j] = x[i] === y[j] ? table[(i + 1) * width + j + 1] + 1 : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
      }
    }
    const runs = [];
    const add = (tag, word) => { const last = runs[runs.length - 1]; if (last && last[0] === tag) last[1].push(word); else runs.push([tag, [word]]); };
    let i = 0, j = 0;
    while (i < a.length || j < b.length) {
      if (i < a.length && j < b.length && x[i] === y[j]) { add("span", b[j]); i++; j++; }
      else if (i < a.length && (j >= b.length || table[(i + 1) * width + j] >= table[i * width + j + 1])) add("del", a[i++]);
      else add("ins", b[j++]);
    }
    return el("span", { class: "compared" }, ...runs.flatMap(([tag, part]) => [el(tag, { text: part.join(" ") }), " "]));
  }

  // ---- picture and outlines
  const svg = (tag, attributes, ...children) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
    made.append(...children);
    return made;
  };
  const outlines = (row) => [
    { name: "reference", run: -1, path: rows.region[row] < 0 ? "" : paths[rows.region[row]], css: "layer of-reference" },
    ...visible.map((run) => ({ name: names[run], run, path: said[run].region[row] < 0 ? "" : paths[said[run].region[row]], css: `layer run-${run % 8} dash-${run % 4}` })),
  ];
  const isOn = (run) => (run < 0 ? layers.reference : layers.runs[run]);
  function canvas(row) {
    const image = rows.image[row], pictures = gi.data("browser-pictures");
    const source = pictures.source[image];
    const box = el("div", { class: source ? "canvas" : "canvas blank" });
    const drawn = svg("svg", { viewBox: `0 0 ${images.width[image]} ${images.height[image]}`, preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" });
    for (const one of outlines(row)) {
      if (!one.path) continue;
      const layer = svg("g", { class: one.css, "data-layer": one.run }, svg("path", { class: "halo", d: one.path }), svg("path", { class: "outline", d: one.path }));
      layer.toggleAttribute("hidden", !isOn(one.run));
      drawn.append(layer);
    }
    const why = pictures.reasons[pictures.reason[image]];
    if (source) {
      const picture = el("img", { alt: "The image of this example, with outlines of regions", src: source, width: images.width[image], height: images.height[image] });
      picture.addEventListener("error", () => { picture.remove(); box.classList.add("blank"); box.append(el("p", { class: "why", text: "The picture does not open." })); });
      box.append(picture);
    }
    box.append(drawn);
    if (!source) box.append(el("p", { class: "why", text: `No picture: ${why}.` }));
    return box;
  }
  function switches(row) {
    const there = outlines(row).filter((one) => one.path);
    if (!there.length) return el("p", { class: "soft", text: "No region here." });
    return el("fieldset", { class: "layers" }, el("legend", { class: "spoken", text: "Outlines" }), ...there.map((one) => {
      const input = el("input", { type: "checkbox", "data-switch-layer": one.run });
      input.checked = isOn(one.run);
      input.addEventListener("change", () => { if (one.run < 0) layers.reference = input.checked; else layers.runs[one.run] = input.checked; redraw(); });
      return el("label", { class: one.run < 0 ? "of-reference" : `run-${one.run % 8}` }, input, el("i", { class: `key ${one.run < 0 ? "" : `dash-${one.run % 4}`}`, "aria-hidden": "true" }), el("span", { text: short(one.name, 40) }));
    }));
  }
  function redraw() {
    for (const layer of section.querySelectorAll("[data-layer]")) layer.toggleAttribute("hidden", !isOn(Number(layer.dataset.layer)));
    for (const input of section.querySelectorAll("[data-switch-layer]")) input.checked = isOn(Number(input.dataset.switchLayer));
  }
  function shot(row) {
    const button = el("button", { type: "button", class: "open", "aria-label": "Enlarge the picture" }, canvas(row));
    button.addEventListener("click", enlarge);
    return el("div", { class: "shot" }, button, switches(row));
  }
  function enlarge() {
    if (current < 0 || at("zoom").open) return;
    enlarged();
    at("zoom").showModal();
  }
  function enlarged() {
    at("zoomed").replaceChildren(el("p", { class: "asked", text: short(text(rows.text[current]), 240) }), canvas(current), switches(current));
  }

  // ---- the address
  function stated() {
    const values = Object.fromEntries(FIELDS.map((name) => [name, at(name).value]).filter(([, value]) => value));
    if (at("search").value.trim()) values.search = at("search").value.trim();
    if (current >= 0) values.example = keyOf(current);
    return values;
  }
  function keep() {
    const others = Object.entries(gi.hash.get()).filter(([name, value]) => value && !FIELDS.includes(name) && name !== "search" && name !== "example");
    gi.hash.set({ ...Object.fromEntries(others), ...stated() });
  }
  function restore() {
    const values = gi.hash.get();
    for (const name of FIELDS) {
      const options = [...at(name).options].map((option) => option.value);
      at(name).value = options.includes(values[name] || "") ? values[name] || "" : options[0];
    }
    at("search").value = values.search || "";
    const row = rowOf.get(values.example || "");
    if (row !== undefined) current = row;
    filter({ keep: row !== undefined });
    return row !== undefined;
  }

  // ---- the rows that were found, as a table for other programs
  function csv() {
    const columns = ["kind", "index", "image", "text", "reference", "classes", "complexity", "absent", "facts wanted"];
    const own = ["answer", "judged", "confidence", "reply", "facts read", "explanation", "region phrase", "IoU", "false alarm"];
    const head = [...columns, ...visible.flatMap((run) => own.map((name) => `${names[run]}: ${name}`))];
    const lines = found.map((row) => [
      KIND[rows.kind[row]], rows.index[row], text(images.id[rows.image[row]]), text(rows.text[row]), text(rows.reference[row]),
      listed(rows.classes[row]).join("; "), rows.complexity[row] || "", rows.absent[row], listed(rows.wanted[row]).join("; "),
      ...visible.flatMap((run) => {
        const one = said[run];
        return [text(one.answer[row]), STATES[one.state[row]][1], number(one.confidence[row]), REPLIES[one.reply[row]] || "",
          listed(one.read[row]).join("; "), text(one.explanation[row]), text(one.phrase[row]), number(one.iou[row]), one.alarm[row] === "0" ? "0" : "1"];
      }),
    ]);
    return "\ufeff" + [head, ...lines].map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
  }
  function cell(value) {
    let shown = String(value);
    // A spreadsheet must not take foreign text for a formula.
    if (/^\s*[=+\-@\t\r\uFF1D\uFF0B\uFF0D\uFF20]/.test(shown)) shown = "'" + shown;
    return /[",\r\n;\t]/.test(shown) ? `"${shown.replaceAll('"', '""')}"` : shown;
  }
  function download() {
    const link = el("a", { href: URL.createObjectURL(new Blob([csv()], { type: "text/csv;charset=utf-8" })), download: "examples.csv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  // ---- controls
  function options() {
    names.forEach((name, run) => at("run").append(el("option", { value: run, text: short(name, 60) })));
    for (const [kind, title] of [["q", "question class"], ["p", "region label"]]) {
      const found = new Set();
      for (let row = 0; row < count; row++) if (rows.kind[row] === kind) for (const one of listed(rows.classes[row])) found.add(one);
      if (!found.size) continue;
      at("class").append(el("optgroup", { label: title }, ...[...found].sort().map((one) => el("option", { value: `${kind}:${one}`, text: short(one.replaceAll("_", " "), 60) }))));
    }
    for (const one of [...new Set(rows.complexity)].filter(Boolean).sort()) at("complexity").append(el("option", { value: one, text: one }));
    at("complexity").closest("label").hidden = at("complexity").options.length < 3;
    at("training").closest("label").hidden = !images.seen.some((one) => /[01]/.test(one));
    at("run").closest("label").hidden = names.length < 2;
  }
  function follow(shown) {
    visible = shown.length ? shown : all;
    for (const option of at("run").options) option.hidden = option.disabled = option.value !== "" && !visible.includes(Number(option.value));
    if (at("run").value && !visible.includes(Number(at("run").value))) at("run").value = "";
    measure();
    filter({ keep: true });
  }
  const isField = (node) => node instanceof HTMLElement && (/^(INPUT|SELECT|TEXTAREA)$/.test(node.tagName) || node.isContentEditable);
  function pressed(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target instanceof Node ? event.target : document.body, inside = section.contains(target);
    // Elsewhere on the page, keys are somebody else's.
    if (!inside && target !== document.body && target !== document.documentElement) return;
    if (event.key === "Escape" && target === at("search")) { at("list").querySelector("button.row[tabindex='0']")?.focus(); return; }
    if (isField(target) && !(target.type === "checkbox" && "jkr/".includes(event.key))) return;
    const inList = target.classList && target.classList.contains("row");
    const act = {
      j: () => step(1), k: () => step(-1), "/": () => { section.scrollIntoView({ block: "nearest" }); at("search").focus(); at("search").select(); },
      r: () => { const on = !(layers.reference || visible.some((run) => layers.runs[run])); layers.reference = on; layers.runs.fill(on); redraw(); },
      ...(inList || at("zoom").open ? { ArrowDown: () => step(1), ArrowUp: () => step(-1) } : {}),
      ...(at("zoom").open ? { ArrowRight: () => step(1), ArrowLeft: () => step(-1) } : {}),
      ...(inList && Number(target.dataset.row) === current || (!inside && current >= 0) ? { Enter: enlarge } : {}),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }
  function start() {
    for (const name of FIELDS) at(name).addEventListener("change", () => { filter(); keep(); });
    at("search").addEventListener("input", () => { filter(); keep(); });
    at("reset").addEventListener("click", () => { for (const name of FIELDS) at(name).selectedIndex = 0; at("search").value = ""; filter({ keep: true }); keep(); });
    at("csv").addEventListener("click", download);
    at("previous").addEventListener("click", () => { page--; list(); });
    at("next").addEventListener("click", () => { page++; list(); });
    at("list").addEventListener("click", (event) => { const button = event.target.closest("button.row"); if (button) select(Number(button.dataset.row)); });
    at("close").addEventListener("click", () => at("zoom").close());
    at("zoom").addEventListener("click", (event) => { if (event.target === at("zoom")) at("zoom").close(); });
    addEventListener("keydown", pressed);
    addEventListener("hashchange", restore);
  }
  options();
  section.hidden = false;
  for (const part of document.querySelectorAll("[data-without-browser]")) part.hidden = true;
  start();
  measure();
  const linked = restore();
  gi.onRuns(follow);
  if (linked) addEventListener("load", () => section.scrollIntoView());
  section.dataset.ready = "true";
})();
