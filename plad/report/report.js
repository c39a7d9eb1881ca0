// The example browser. Everything of the run's is shown through textContent: a model's output stays text.
(() => {
  "use strict";
  const PAGE = 20;
  const data = JSON.parse(document.getElementById("examples-data").textContent);
  const form = document.querySelector(".controls");
  const list = document.getElementById("examples-list");
  const pages = document.querySelector(".pages");
  const subject = data.models.find((model) => model.name === data.subject);
  // Read left to right: what was strived for, then before and after, then the baselines.
  const order = ["teacher", "student", data.subject];
  const models = [...data.models].sort((a, b) => rank(a.name) - rank(b.name));
  let page = 0;
  let linked = null;

  data.rows.forEach((row) => {
    const answers = Object.values(row.answers).map((answer) => answer[0]);
    row.haystack = [row.id, row.prompt, row.reference || "", ...answers].join("\n").toLowerCase();
  });

  function rank(name) {
    const place = order.indexOf(name);
    return place < 0 ? order.length : place;
  }

  function setting(name) {
    return form.elements[name] ? form.elements[name].value : "";
  }

  function chosen() {
    const wanted = setting("search").trim().toLowerCase();
    const rows = data.rows.filter((row) => !wanted || row.haystack.includes(wanted));
    const shown = { won: (r) => r.gain > 0, lost: (r) => r.gain !== null && r.gain < 0 }[setting("show")];
    const kept = shown ? rows.filter(shown) : rows;
    if (setting("show") !== "changed") return sorted(kept, setting("sort"));
    // The tenth of the examples whose score moved most, up or down.
    const most = sorted(kept.filter((r) => r.gain), "change").slice(0, Math.max(PAGE, Math.ceil(kept.length / 10)));
    return setting("sort") === "order" ? most : sorted(most, setting("sort"));
  }

  function sorted(rows, by) {
    const key = { gain: (r) => -r.gain, loss: (r) => r.gain, change: (r) => -Math.abs(r.gain) }[by];
    return key ? rows.slice().sort((a, b) => key(a) - key(b)) : rows;
  }

  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function answer(label, hue, text, score) {
    const box = element("div");
    box.style.setProperty("--swatch", `var(--${hue})`);
    const head = element("h4");
    head.append(element("span", "", label), element("span", "", score === null ? "" : score.toFixed(3)));
    const empty = text === null || text.trim() === "";
    box.append(head, element("div", empty ? "empty" : "text", empty ? (text === null ? "none" : "empty") : text));
    return box;
  }

  function gain(row) {
    if (row.gain === null) return element("span", "gain");
    const kind = row.gain > 0 ? "won" : row.gain < 0 ? "lost" : "tied";
    const amount = row.gain === 0 ? "" : ` by ${Math.abs(row.gain).toFixed(3)}`;
    return element("span", `gain ${kind}`, `${subject.label} ${kind}${amount}`);
  }

  function example(row) {
    const box = element("article", "example");
    box.id = `example-${row.id}`;
    box.classList.toggle("linked", row.id === linked);
    const head = element("div");
    const link = element("a", "", row.id);
    link.href = `#example-${encodeURIComponent(row.id)}`;
    link.title = "Permanent link to this example";
    head.append(link, gain(row));
    const answers = element("div", "answers");
    answers.append(answer("Reference", "ink", row.reference, row.referenceScore));
    models.forEach(({ name, label, hue }) => {
      if (row.answers[name]) answers.append(answer(label, hue, ...row.answers[name]));
    });
    box.append(head, element("div", "text prompt", row.prompt), answers);
    return box;
  }

  function render() {
    const rows = chosen();
    const last = Math.max(0, Math.ceil(rows.length / PAGE) - 1);
    page = Math.min(Math.max(page, 0), last);
    list.replaceChildren(...rows.slice(page * PAGE, (page + 1) * PAGE).map(example));
    if (!rows.length) list.append(element("p", "note", "No example fits. Clear the search or show all."));
    form.elements.count.textContent = `${rows.length} of ${data.rows.length}`;
    pages.hidden = last === 0;
    pages.querySelector("span").textContent = `Page ${page + 1} of ${last + 1}`;
    pages.querySelector("[name=back]").disabled = page === 0;
    pages.querySelector("[name=next]").disabled = page === last;
  }

  function turn(by) {
    page += by;
    render();
    document.getElementById("examples").scrollIntoView();
  }

  function follow() {
    const match = /^#example-(.+)$/s.exec(location.hash);
    if (!match) return;
    let id = match[1];
    try { id = decodeURIComponent(id); } catch { /* a stray percent sign: take it as it stands */ }
    if (!data.rows.some((row) => row.id === id)) return;
    // The link wins over a search or a filter that hides its example.
    if (!chosen().some((row) => row.id === id)) form.reset();
    linked = id;
    page = Math.floor(chosen().findIndex((row) => row.id === id) / PAGE);
    render();
    document.getElementById(`example-${id}`).scrollIntoView({ block: "start" });
  }

  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => { page = 0; render(); });
  pages.querySelector("[name=back]").addEventListener("click", () => turn(-1));
  pages.querySelector("[name=next]").addEventListener("click", () => turn(1));
  addEventListener("hashchange", follow);
  render();
  follow();
})();
