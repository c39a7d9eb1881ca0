// A page that is watched: what changed of the run is put in place, and scroll, search and what is unfolded stay.
(() => {
  "use strict";
  const SECONDS = 2;

  async function text(path) {
    const answer = await fetch(path, { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.text();
  }

  function mark(page) {
    return page.querySelector("meta[name=plad-mark]").content;
  }

  async function look() {
    try {
      if (await text("/mark") !== mark(document)) {
        take(new DOMParser().parseFromString(await text("/"), "text/html"));
      }
      document.body.classList.remove("gone");
    } catch {
      document.body.classList.add("gone");
    }
    setTimeout(look, 1000 * SECONDS);
  }

  function take(next) {
    const kept = place();
    document.title = next.title;
    document.querySelector("meta[name=plad-mark]").content = mark(next);
    for (const part of ["header", ".contents"]) swap(document.querySelector(part), next.querySelector(part));
    sections(document.querySelector("main"), [...next.querySelectorAll("main > section")]);
    examples(next);
    back(kept);
  }

  // What is in sight, and where: new sections above it must not push it away.
  function place() {
    const seen = [...document.querySelectorAll("main > section")].find((box) => box.getBoundingClientRect().bottom > 0);
    return seen && scrollY > 0 ? { id: seen.id, top: seen.getBoundingClientRect().top } : null;
  }

  function back(kept) {
    const box = kept && document.getElementById(kept.id);
    if (box) scrollBy({ top: box.getBoundingClientRect().top - kept.top, behavior: "instant" });
  }

  function swap(old, fresh) {
    [...fresh.querySelectorAll("details")].forEach((box, n) => {
      box.open = Boolean(old.querySelectorAll("details")[n]?.open);
    });
    if (old.isEqualNode(fresh)) return;
    const scrolled = [...old.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
    old.replaceWith(fresh);
    [...fresh.querySelectorAll(".scroll")].forEach((box, n) => { box.scrollLeft = scrolled[n] || 0; });
  }

  // A section that stays is never moved, which would take the focus from what is in it. The examples have a state of
  // their own.
  function sections(main, wanted) {
    const ids = new Set(wanted.map(({ id }) => id));
    [...main.children].filter(({ id }) => !ids.has(id)).forEach((gone) => gone.remove());
    wanted.forEach((fresh, n) => {
      const old = document.getElementById(fresh.id);
      if (!old) main.insertBefore(fresh, main.children[n] || null);
      else if (fresh.id !== "examples") swap(old, fresh);
    });
  }

  function examples(next) {
    const [old, fresh] = [document, next].map((page) => page.getElementById("examples-data"));
    if (old.textContent === fresh.textContent) return;
    old.textContent = fresh.textContent;
    const [section, incoming] = [document, next].map((page) => page.getElementById("examples"));
    // Selections come with the student's answers: the form is another one then.
    const grown = section && incoming && fields(section).length !== fields(incoming).length;
    const typed = grown ? fields(section).search.value : "";
    const active = grown && document.activeElement === fields(section).search;
    if (grown) {
      section.replaceWith(incoming);
      fields(incoming).search.value = typed;
    }
    document.dispatchEvent(new Event("plad:examples"));
    // Only now is the form there to be seen.
    if (active) fields(incoming).search.focus({ preventScroll: true });
  }

  function fields(section) {
    return section.querySelector("form").elements;
  }

  look();
})();
