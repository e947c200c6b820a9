// Review sheets: what is chosen stays in this browser, by the sheet's digest, until it is saved as CSV. Nothing is sent.
"use strict";
const sheet = (() => {
  // A spreadsheet would run a field that begins so as a formula.
  const harmless = (text) => (/^[=+@\t\r-]/.test(text) ? "'" + text : text);
  const field = (value) => {
    const text = String(value);
    return /[",;\r\n\t]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
  };
  function save(name, columns, rows) {
    const lines = [columns, ...rows].map((row) => row.map(field).join(","));
    // The mark in front tells Excel that the file is UTF-8.
    const blob = new Blob(["\ufeff" + lines.join("\r\n") + "\r\n"], { type: "text/csv" });
    const link = gi.el("a", { download: name });
    link.href = URL.createObjectURL(blob);
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
  function slug(text) {
    return text.normalize("NFKD").replace(/[^A-Za-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 40).toLowerCase();
  }
  function store(digest) {
    const name = "gi-bench review " + digest;
    return {
      read() {
        try {
          const found = JSON.parse(localStorage.getItem(name));
          return found && typeof found === "object" && found.items && typeof found.items === "object" ? found : null;
        } catch { return null; }
      },
      write(value) {
        try { localStorage.setItem(name, JSON.stringify(value)); return true; } catch { return false; }
      },
    };
  }
  function tell(text, bad = false) {
    const place = document.querySelector("[role=status]");
    place.textContent = text;
    place.classList.toggle("bad", bad);
  }
  const NOT_KEPT = "This browser keeps nothing: save the CSV before you close the page.";
  return { harmless, save, slug, store, tell, NOT_KEPT };
})();
