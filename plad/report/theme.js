// Light, dark, or as the system says. The choice is remembered where a browser lets a file remember anything.
(() => {
  "use strict";
  const THEMES = ["auto", "light", "dark"];
  const button = document.querySelector(".theme");

  function set(theme) {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.querySelector("span").textContent = theme;
  }

  function remembered() {
    try { return localStorage.getItem("plad-theme"); } catch { return null; }
  }

  button.hidden = false;
  button.addEventListener("click", () => {
    const now = document.documentElement.dataset.theme || "auto";
    const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
    set(next);
    try { localStorage.setItem("plad-theme", next); } catch { /* for this page alone, then */ }
  });
  const before = remembered();
  if (THEMES.includes(before)) set(before);
})();
