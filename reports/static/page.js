// What every page of gi-bench does: runs switched on and off, sorted tables, live charts.
// Text of models and data is set as text, never as markup.
"use strict";
const gi = (() => {
  const blocks = new Map();
  function data(id) {
    if (!blocks.has(id)) {
      const block = document.getElementById(id);
      blocks.set(id, block ? JSON.parse(block.textContent) : null);
    }
    return blocks.get(id);
  }

  function el(tag, options = {}, ...children) {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(options)) {
      if (value === null || value === undefined || value === false) continue;
      if (key === "text") made.textContent = value;
      else if (key === "class") made.className = value;
      else made.setAttribute(key, value === true ? "" : String(value));
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  }

  // ---- the part of the address behind "#": filters and links to one example
  const hash = {
    get() { return Object.fromEntries(new URLSearchParams(location.hash.slice(1))); },
    set(values) {
      const kept = Object.entries(values).filter(([, value]) => value !== "" && value !== null && value !== undefined);
      const text = new URLSearchParams(kept).toString();
      history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
    },
  };

  // ---- runs
  const runs = (data("runs") || []).map((run) => ({ ...run, on: true }));
  const listeners = [];
  const shown = () => runs.flatMap((run, i) => (run.on ? [i] : []));
  function onRuns(fn) { listeners.push(fn); fn(shown()); }
  function showRuns() {
    for (const part of document.querySelectorAll("[data-run]")) {
      const run = runs[Number(part.dataset.run)];
      if (run) part.hidden = !run.on;
    }
    for (const button of document.querySelectorAll("[data-switch]")) {
      button.setAttribute("aria-pressed", String(runs[Number(button.dataset.switch)].on));
    }
    for (const fn of listeners) fn(shown());
  }
  function startRuns() {
    for (const nav of document.querySelectorAll("nav.runs")) nav.hidden = false;
    for (const button of document.querySelectorAll("[data-switch]")) {
      button.addEventListener("click", () => {
        const run = runs[Number(button.dataset.switch)];
        // The last one stays: a page of nothing explains nothing.
        if (run.on && shown().length === 1) return;
        run.on = !run.on;
        showRuns();
      });
    }
  }

  // ---- tables
  function sortable(table) {
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    heads.forEach((head, column) => {
      if (head.hasAttribute("data-unsorted") || !head.textContent.trim()) return;
      const button = el("button", { class: "sort", type: "button" });
      const small = head.querySelector("small");
      button.append(...[...head.childNodes].filter((node) => node !== small));
      head.prepend(button);
      button.addEventListener("click", () => sortBy(table, heads, column));
    });
  }
  function sortBy(table, heads, column) {
    const head = heads[column];
    const first = head.dataset.first === "descending" ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = head.getAttribute("aria-sort") === first ? other : first;
    for (const one of heads) one.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    for (const body of table.tBodies) {
      const keyed = [...body.rows].map((row, place) => [row, sortKey(row.cells[column]), place]);
      keyed.sort(([, a, i], [, b, j]) => {
        // What has no value stands last, whichever way.
        if (a === null || b === null) return (a === null) - (b === null) || i - j;
        // Numbers stand before texts: compared as texts, some rows would have no order.
        const way = typeof a !== typeof b ? (typeof a === "number" ? -1 : 1) : typeof a === "number" ? a - b : a.localeCompare(b, "en");
        return sign * way || i - j;
      });
      body.append(...keyed.map(([row]) => row));
    }
  }
  function sortKey(cell) {
    if (!cell) return null;
    const given = cell.dataset.sort;
    const text = given !== undefined ? given : cell.textContent.trim();
    if (text === "") return null;
    // "3,200", "12.5 %", "< 0.001" and a true minus are numbers too; a name such as "0x10" or "Infinity" is none.
    const number = /^(?:[<\u2264]\s*)?([+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[+-]?\d+)?)(?:\s*%)?$/i.exec(text.replace("\u2212", "-"));
    return number ? Number(number[1].replaceAll(",", "")) : text;
  }

  // ---- charts: the static picture stands until the live one is drawn
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  function config() {
    const ink = style("--ink"), soft = style("--soft"), grid = style("--grid"), line = style("--line");
    const text = { labelColor: soft, titleColor: soft, labelFontSize: 11, titleFontSize: 11, labelLimit: 260, labelFlush: false };
    return {
      background: null, font: getComputedStyle(document.body).fontFamily,
      axis: { ...text, gridColor: grid, domainColor: line, tickColor: line, titleFontWeight: "normal" },
      legend: { ...text, symbolSize: 70 }, header: { labelColor: ink, titleColor: ink, labelFontSize: 12 },
      title: { color: ink }, view: { stroke: line }, text: { color: ink }, rule: { color: soft },
    };
  }
  function narrowed(node, names) {
    // Rows of hidden runs go, and their names from scales and legends; colours stay with their runs.
    const hidden = new Set(runs.filter((run) => !run.on).map((run) => run.name));
    if (Array.isArray(node)) {
      return node.filter((row) => !(row && typeof row === "object" && hidden.has(row.run))).map((one) => narrowed(one, names));
    }
    if (!node || typeof node !== "object") return node;
    const made = Object.fromEntries(Object.entries(node).map(([key, value]) => [key, narrowed(value, names)]));
    if (Array.isArray(node.domain) && node.domain.length && node.domain.every((name) => names.has(name))) {
      const kept = node.domain.map((name, i) => [name, i]).filter(([name]) => !hidden.has(name));
      made.domain = kept.map(([name]) => name);
      if (Array.isArray(node.range)) made.range = kept.map(([, i]) => node.range[i]);
    }
    return made;
  }
  // Rows that a chart draws. Of none, Vega makes a picture that is as high as the largest number.
  const rowsIn = (node) => (!node || typeof node !== "object" ? 0
    : Object.entries(node).reduce((sum, [key, one]) => sum + (key === "data" && one && Array.isArray(one.values) ? one.values.length : rowsIn(one)), 0));
  function fitted(spec, width) {
    const panel = spec.spec || spec;
    if (spec.facet) {
      const used = (panel.width || 200) + 60;
      return { ...spec, columns: Math.max(1, Math.min(spec.columns || 3, Math.floor(width / used))) };
    }
    if (typeof spec.width !== "number" || spec.hconcat || spec.vconcat || spec.concat) return spec;
    return { ...spec, width: Math.min(spec.width + 180, width), autosize: { type: "fit-x", contains: "padding", resize: true } };
  }
  async function draw(figure, spec) {
    const place = figure.querySelector(".drawn");
    const width = Math.max(240, place.clientWidth || figure.clientWidth);
    const names = new Set(runs.map((run) => run.name));
    const made = fitted(narrowed(spec, names), width);
    const box = el("div", { class: "live", role: "img", "aria-label": figure.dataset.alt || "" });
    const old = place.querySelector(".live");
    if (!rowsIn(made) && rowsIn(spec)) {
      if (old && old.finish) old.finish();
      place.replaceChildren(el("p", { class: "live soft", text: "No run that is shown has a value here." }));
      figure.dataset.state = "empty";
      return;
    }
    const result = await window.vegaEmbed(box, made, {
      ast: true, defaultStyle: false, actions: false, renderer: "svg", config: config(),
      tooltip: { disableDefaultStyle: true },
    });
    if (old && old.finish) old.finish();
    box.finish = () => result.view.finalize();
    place.replaceChildren(box);
    figure.dataset.state = "drawn";
  }
  function chart(figure) {
    const spec = data(figure.dataset.spec);
    if (!spec || !window.vegaEmbed) return;
    let wanted = false, busy = false, seen = false;
    const again = async () => {
      wanted = true;
      if (busy || !seen) return;
      busy = true;
      while (wanted) {
        wanted = false;
        try { await draw(figure, spec); } catch (error) { console.error(`chart ${figure.dataset.spec}: ${error.message}`); }
      }
      busy = false;
    };
    new IntersectionObserver((entries, observer) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      seen = true;
      observer.disconnect();
      again();
    }, { rootMargin: "600px" }).observe(figure);
    onRuns(() => { again(); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
    let timer = 0, last = innerWidth;
    addEventListener("resize", () => {
      if (innerWidth === last) return;
      last = innerWidth;
      clearTimeout(timer);
      timer = setTimeout(again, 150);
    });
  }

  function start() {
    startRuns();
    for (const table of document.querySelectorAll("table.sortable")) sortable(table);
    for (const figure of document.querySelectorAll("figure.chart[data-spec]")) chart(figure);
    document.documentElement.dataset.ready = "true";
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else queueMicrotask(start);
  return { data, el, hash, runs, shown, onRuns, showRuns, sortable, chart };
})();
