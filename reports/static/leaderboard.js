// A tab a suite, by mouse and keyboard; facts of a run unfold where a link leads to them.
"use strict";
(() => {
  const list = document.querySelector(".tabs");
  const tabs = list ? [...list.querySelectorAll("[role=tab]")] : [];
  const panels = tabs.map((tab) => document.getElementById(tab.getAttribute("aria-controls")));
  function choose(number, focus) {
    tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", String(i === number));
      tab.tabIndex = i === number ? 0 : -1;
      panels[i].hidden = i !== number;
    });
    if (focus) {
      tabs[number].focus();
      tabs[number].scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  }
  tabs.forEach((tab, i) => {
    panels[i].setAttribute("role", "tabpanel");
    panels[i].setAttribute("aria-labelledby", tab.id);
    tab.addEventListener("click", () => { choose(i); gi.hash.set({ suite: i }); });
    tab.addEventListener("keydown", (event) => {
      const last = tabs.length - 1;
      const next = { ArrowRight: i === last ? 0 : i + 1, ArrowLeft: i ? i - 1 : last, Home: 0, End: last }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      choose(next, true);
      gi.hash.set({ suite: next });
    });
  });
  function follow() {
    const target = location.hash.startsWith("#run-") ? document.getElementById(location.hash.slice(1)) : null;
    if (target) {
      const panel = panels.indexOf(target.closest("section.suite"));
      if (panel >= 0) choose(panel);
      target.closest("details").open = true;
      target.scrollIntoView();
      return;
    }
    const wanted = Number(gi.hash.get().suite);
    if (Number.isInteger(wanted) && wanted >= 0 && wanted < tabs.length && gi.hash.get().suite) choose(wanted);
  }
  if (list) {
    document.body.classList.add("tabbed");
    list.hidden = false;
    choose(0);
  }
  addEventListener("hashchange", follow);
  follow();
  // The same link twice is no change of the address.
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#run-"]');
    if (link) document.getElementById(link.getAttribute("href").slice(1)).closest("details").open = true;
  });
})();
