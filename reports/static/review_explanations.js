// The sheet of explanations: one item at a time, rated by mouse or by keys.
"use strict";
(() => {
  const about = gi.data("sheet");
  const items = [...document.querySelectorAll(".item")];
  const kept = sheet.store(about.digest);
  const state = { rater: "", items: {} };
  const $ = (id) => document.getElementById(id);
  let current = 0, unsaved = false, stored = true;

  const ratings = (i) => state.items[i + 1] || {};
  const isRated = (i) => about.criteria.every((name) => ratings(i)[name]);
  const isBegun = (i) => about.criteria.some((name) => ratings(i)[name]) || Boolean(ratings(i).comment);
  const radios = (i, name) => [...items[i].querySelectorAll(`input[name="c${i + 1}-${name}"]`)];

  function keep() {
    unsaved = true;
    const before = stored;
    stored = kept.write(state);
    if (before && !stored) sheet.tell(sheet.NOT_KEPT, true);
    progress();
  }
  function change(i, values) {
    state.items[i + 1] = { ...ratings(i), ...values };
    keep();
  }
  function progress() {
    const rated = items.filter((_, i) => isRated(i)).length;
    const begun = items.filter((_, i) => !isRated(i) && isBegun(i)).length;
    $("progress").value = rated;
    $("counted").textContent = `${rated} of ${items.length} rated` + (begun ? `, ${begun} begun` : "");
  }
  function show(i, focus = true) {
    current = Number.isInteger(i) ? Math.max(0, Math.min(items.length - 1, i)) : 0;
    items.forEach((item, number) => { item.hidden = number !== current; });
    $("place").textContent = `${current + 1} of ${items.length}`;
    $("previous").disabled = current === 0;
    $("next").disabled = current === items.length - 1;
    gi.hash.set({ item: current + 1 });
    if (!focus) return;
    scrollTo({ top: Math.min(scrollY, items[current].getBoundingClientRect().top + scrollY - 70) });
    const open = about.criteria.find((name) => !ratings(current)[name]) || about.criteria[0];
    focusOn(open);
  }
  function focusOn(name) {
    const all = radios(current, name);
    (all.find((radio) => radio.checked) || all[0]).focus({ preventScroll: true });
  }
  function unrated() {
    const order = items.map((_, i) => (current + 1 + i) % items.length);
    const found = order.find((i) => !isRated(i));
    if (found === undefined) sheet.tell("Every item has its three ratings. Save the CSV.");
    else show(found);
  }
  function criterion() {
    const active = document.activeElement && document.activeElement.closest ? document.activeElement.closest("fieldset[data-criterion]") : null;
    if (active && items[current].contains(active)) return active.dataset.criterion;
    return about.criteria.find((name) => !ratings(current)[name]) || about.criteria[0];
  }
  function rate(value) {
    const name = criterion();
    const radio = radios(current, name).find((one) => one.value === String(value));
    radio.checked = true;
    change(current, { [name]: value });
    const after = about.criteria[about.criteria.indexOf(name) + 1];
    if (after) focusOn(after);
    else if (current < items.length - 1) $("next").focus({ preventScroll: true });
    else $("save").focus({ preventScroll: true });
  }
  function fill() {
    $("rater").value = state.rater;
    items.forEach((item, i) => {
      for (const name of about.criteria) {
        for (const radio of radios(i, name)) radio.checked = ratings(i)[name] === Number(radio.value);
      }
      item.querySelector("textarea").value = ratings(i).comment || "";
    });
    progress();
  }
  function load() {
    const found = kept.read();
    if (!found) return;
    state.items = {};
    state.rater = typeof found.rater === "string" ? found.rater : "";
    for (let i = 1; i <= items.length; i += 1) {
      const one = found.items[i];
      if (!one || typeof one !== "object") continue;
      const sound = Object.fromEntries(about.criteria.filter((name) => [1, 2, 3, 4, 5].includes(one[name])).map((name) => [name, one[name]]));
      if (typeof one.comment === "string") sound.comment = one.comment;
      state.items[i] = sound;
    }
  }
  function saved() {
    const rater = $("rater").value.trim();
    if (!rater) {
      sheet.tell("Give your name (or a code): it tells your ratings from those of others.", true);
      $("rater").focus();
      return;
    }
    const rows = items.map((_, i) => [
      about.digest, sheet.harmless(rater), i + 1, ...about.criteria.map((name) => ratings(i)[name] || ""),
      sheet.harmless((ratings(i).comment || "").trim()),
    ]);
    sheet.save(`review-${about.digest.slice(0, 8)}-${sheet.slug(rater) || "rater"}.csv`, about.columns, rows);
    unsaved = false;
    const open = items.filter((_, i) => !isRated(i)).length;
    sheet.tell(open ? `Saved; ${open} items still lack a rating.` : "Saved; every item is rated.");
  }
  function keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const writing = event.target.matches("textarea, input[type=text]");
    if (writing) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const does = {
      n: () => show(current + 1), p: () => show(current - 1), u: unrated,
      c: () => items[current].querySelector("textarea").focus(), o: outlines,
    };
    if (/^[1-5]$/.test(event.key)) rate(Number(event.key));
    else if (does[event.key]) does[event.key]();
    else return;
    event.preventDefault();
  }
  function outlines() {
    const off = document.body.classList.toggle("plain");
    for (const button of document.querySelectorAll("[data-outline]")) button.setAttribute("aria-pressed", String(!off));
  }

  load();
  fill();
  for (const part of document.querySelectorAll("[data-script]")) part.hidden = false;
  items.forEach((item, i) => {
    item.addEventListener("change", (event) => {
      const set = event.target.closest("fieldset[data-criterion]");
      if (set) change(i, { [set.dataset.criterion]: Number(event.target.value) });
    });
    const next = item.querySelector("[data-next]");
    if (next) next.addEventListener("click", () => show(i + 1));
    item.querySelector("textarea").addEventListener("input", (event) => change(i, { comment: event.target.value }));
  });
  $("rater").addEventListener("input", (event) => { state.rater = event.target.value; keep(); });
  $("previous").addEventListener("click", () => show(current - 1));
  $("next").addEventListener("click", () => show(current + 1));
  $("open").addEventListener("click", unrated);
  $("save").addEventListener("click", saved);
  for (const button of document.querySelectorAll("[data-outline]")) button.addEventListener("click", outlines);
  document.addEventListener("keydown", keys);
  // The same sheet in another tab: what was rated there counts here, too.
  addEventListener("storage", () => { load(); fill(); });
  addEventListener("hashchange", () => show(Number(gi.hash.get().item || 1) - 1));
  addEventListener("beforeunload", (event) => { if (unsaved && !stored) event.preventDefault(); });
  const wanted = Number(gi.hash.get().item);
  const first = items.findIndex((_, i) => !isRated(i));
  show(wanted >= 1 && wanted <= items.length ? wanted - 1 : Math.max(0, first), false);
})();
