// The example browser. Everything of the run's is shown through textContent: a model's output stays text.
(() => {
  "use strict";
  const PAGE = 20;
  const PHRASE = 3;  // words, as in plad/report/case.py
  const LETTERS = 4;  // shorter words are too often the language's own
  let data, form, list, pages, models, subject;
  let page = 0;
  let linked = null;

  // Called again when a page that is watched has got other examples; what was typed and chosen stays.
  function start() {
    const section = document.getElementById("examples");
    if (!section) return;
    data = JSON.parse(document.getElementById("examples-data").textContent);
    form = section.querySelector(".controls");
    list = document.getElementById("examples-list");
    pages = section.querySelector(".pages");
    subject = data.models.find((model) => model.name === data.subject);
    models = [...data.models].sort((a, b) => rank(a.name) - rank(b.name));
    data.rows.forEach((row, place) => {
      const answers = Object.values(row.answers).map((answer) => answer[0]);
      row.number = place + 1;
      row.haystack = [row.id, row.prompt, row.reference || "", ...answers].join("\n").toLowerCase();
    });
    form.hidden = section.querySelector(".legend-marks").hidden = false;
    form.onsubmit = (event) => event.preventDefault();
    form.oninput = () => { page = 0; render(); };
    pages.querySelector("[name=back]").onclick = () => turn(-1);
    pages.querySelector("[name=next]").onclick = () => turn(1);
    render();
  }

  // Read left to right: what was strived for, then before and after, then the baselines.
  function rank(name) {
    const order = ["teacher", "student", data.subject];
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

  // A paragraph of the run's own: its direction is its own too, and ends with it.
  function paragraph(className, text) {
    const made = element("div", className, text);
    made.dir = "auto";
    return made;
  }

  function words(text) {
    return [...text.matchAll(/[\p{L}\p{N}_]+/gu)].map((match) => (
      { word: match[0].toLowerCase(), begin: match.index, end: match.index + match[0].length }
    ));
  }

  function phrases(found) {
    return found.slice(PHRASE - 1).map((_, start) => (
      found.slice(start, start + PHRASE).map(({ word }) => word).join(" ")
    ));
  }

  // The text with what the source has too: a phrase is marked, with what stands between its words; a word underlined.
  function marked(text, source) {
    const found = words(text);
    const kind = found.map(({ word }) => (word.length >= LETTERS && source.words.has(word) ? "shared" : ""));
    phrases(found).forEach((phrase, start) => {
      if (source.phrases.has(phrase)) kind.fill("phrase", start, start + PHRASE);
    });
    const box = paragraph("text");
    let done = 0;
    for (let first = 0; first < found.length; first += 1) {
      if (!kind[first]) continue;
      let last = first;
      while (kind[first] === "phrase" && kind[last + 1] === "phrase") last += 1;
      const [begin, end] = [found[first].begin, found[last].end];
      const piece = text.slice(begin, end);
      box.append(text.slice(done, begin), kind[first] === "phrase" ? element("mark", "", piece) : element("span", "shared", piece));
      [done, first] = [end, last];
    }
    box.append(text.slice(done));
    return box;
  }

  function answer(label, hue, text, score, source) {
    const box = element("div");
    box.style.setProperty("--swatch", `var(--${hue})`);
    const head = element("h3");
    head.append(element("span", "", label), element("span", "", score === null ? "" : score.toFixed(3)));
    const empty = text === null || text.trim() === "";
    box.append(head, empty ? element("div", "empty", text === null ? "none" : "empty") : marked(text, source));
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
    box.setAttribute("aria-label", `Example ${row.number}`);
    box.classList.toggle("linked", row.id === linked);
    const head = element("div");
    const link = element("a", "", `${row.number} · ${row.id}`);
    link.href = `#example-${encodeURIComponent(row.id)}`;
    link.title = "Permanent link to this example";
    head.append(link, gain(row));
    const given = words(row.prompt);
    const source = { words: new Set(given.map(({ word }) => word)), phrases: new Set(phrases(given)) };
    const answers = element("div", "answers");
    answers.append(answer("Reference", "ink", row.reference, row.referenceScore, source));
    models.forEach(({ name, label, hue }) => {
      if (row.answers[name]) answers.append(answer(label, hue, ...row.answers[name], source));
    });
    const prompt = paragraph("text prompt", row.prompt);
    prompt.tabIndex = 0;  // it may scroll
    prompt.setAttribute("role", "group");
    prompt.setAttribute("aria-label", "Prompt");
    box.append(head, prompt, answers);
    return box;
  }

  function render() {
    const rows = chosen();
    const last = Math.max(0, Math.ceil(rows.length / PAGE) - 1);
    page = Math.min(Math.max(page, 0), last);
    list.replaceChildren(...rows.slice(page * PAGE, (page + 1) * PAGE).map(example));
    if (!rows.length) list.append(element("p", "note", "No example fits. Clear the search or show all."));
    form.elements.count.textContent = `${rows.length} of ${data.rows.length} examples`;
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
    if (!match || !data) return;
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

  document.addEventListener("plad:examples", start);
  addEventListener("hashchange", follow);
  start();
  follow();
})();
