// The sheet of masks: each is accepted or rejected, by mouse or by keys.
"use strict";
(() => {
  const about = gi.data("sheet");
  const figures = [...document.querySelectorAll(".mask")];
  const kept = sheet.store(about.digest);
  const state = { items: {} };
  const $ = (id) => document.getElementById(id);
  const DECISIONS = ["accept", "reject"];
  let stored = true, unsaved = false;

  const decision = (i) => (state.items[i] || {}).decision || "";
  const remark = (i) => (state.items[i] || {}).remark || "";
  function progress() {
    const decided = figures.filter((_, i) => decision(i));
    const rejected = decided.filter((figure) => decision(figures.indexOf(figure)) === "reject").length;
    $("progress").value = decided.length;
    $("counted").textContent = `${decided.length} of ${figures.length} decided, ${rejected} rejected`;
  }
  function change(i, values) {
    state.items[i] = { ...state.items[i], ...values };
    unsaved = true;
    const before = stored;
    stored = kept.write(state);
    if (before && !stored) sheet.tell(sheet.NOT_KEPT, true);
    progress();
  }
  const radios = (i) => [...figures[i].querySelectorAll("input[type=radio]")];
  function focusOn(i) {
    const all = radios(Math.max(0, Math.min(figures.length - 1, i)));
    (all.find((radio) => radio.checked) || all[0]).focus();
  }
  const current = () => figures.findIndex((figure) => figure.contains(document.activeElement));
  function decide(value) {
    const i = Math.max(0, current());
    radios(i).find((radio) => radio.value === value).checked = true;
    change(i, { decision: value });
    if (i < figures.length - 1) focusOn(i + 1);
    else $("save").focus();
  }
  function undecided() {
    const start = current();
    const found = figures.map((_, i) => (start + 1 + i) % figures.length).find((i) => !decision(i));
    if (found === undefined) sheet.tell("Every mask is decided. Save the CSV.");
    else focusOn(found);
  }
  function outlines() {
    $("outlines").setAttribute("aria-pressed", String(!document.body.classList.toggle("plain")));
  }
  function keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input[type=text]")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const does = {
      a: () => decide("accept"), r: () => decide("reject"), n: () => focusOn(current() + 1),
      p: () => focusOn(current() - 1), u: undecided, o: outlines,
    };
    if (!does[event.key]) return;
    does[event.key]();
    event.preventDefault();
  }
  function saved() {
    const rows = about.masks.map((mask, i) => [
      sheet.harmless(mask.img_id), sheet.harmless(mask.label), decision(i), sheet.harmless(remark(i).trim()),
    ]);
    sheet.save("mask_review.csv", about.columns, rows);
    unsaved = false;
    const open = figures.filter((_, i) => !decision(i)).length;
    sheet.tell(open ? `Saved; ${open} masks are undecided.` : "Saved; every mask is decided.");
  }

  function load() {
    const found = kept.read();
    figures.forEach((figure, i) => {
      const one = found && found.items[i] && typeof found.items[i] === "object" ? found.items[i] : {};
      state.items[i] = {
        decision: DECISIONS.includes(one.decision) ? one.decision : "",
        remark: typeof one.remark === "string" ? one.remark : "",
      };
      for (const radio of radios(i)) radio.checked = radio.value === decision(i);
      figure.querySelector("input[type=text]").value = remark(i);
    });
    progress();
  }

  load();
  figures.forEach((figure, i) => {
    for (const radio of radios(i)) radio.addEventListener("change", () => change(i, { decision: radio.value }));
    const text = figure.querySelector("input[type=text]");
    text.addEventListener("input", () => change(i, { remark: text.value }));
  });
  // The same sheet in another tab: what was decided there counts here, too.
  addEventListener("storage", load);
  for (const part of document.querySelectorAll("[data-script]")) part.hidden = false;
  $("save").addEventListener("click", saved);
  $("open").addEventListener("click", undecided);
  $("outlines").addEventListener("click", outlines);
  document.addEventListener("keydown", keys);
  addEventListener("beforeunload", (event) => { if (unsaved && !stored) event.preventDefault(); });
})();
