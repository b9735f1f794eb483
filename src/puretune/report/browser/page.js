// Filters, keys and links: everything that a reader does ends in `refresh`.
const form = byId("transcript-filters"), count = byId("transcript-count"), figures = byId("transcript-rates");

function options(name, values, titles) {
  const select = form.elements[name];
  for (const value of values) {
    const option = make("option", "", titles ? titles(value) : value);
    option.value = value;
    select.append(option);
  }
}

function fillForm() {
  options("condition", Object.keys(head.conditions));
  options("template", Object.keys(head.templates));
  options("suite", Object.keys(head.suites));
  options("class", [...new Set(Object.values(head.suites).map((asks) => asks ?? "unknown"))], (asks) => ({ harm: "harmful requests", benign: "harmless requests", task: "the task" })[asks] ?? asks);
  options("category", [...new Set(head.prompts.map(([, , category]) => category ?? "none"))]);
  options("behaviour", [...new Set(behaviourOf)].map(word).filter(Boolean));
  options("finish", [...new Set(finishOf)].map(word));
  options("metric", metrics.map((metric) => metric.key), (key) => metrics.find((metric) => metric.key === key).title);
}

function readForm() {
  for (const name of FILTERS) {
    const field = form.elements[name];
    state[name] = field.type === "checkbox" ? (field.checked ? "1" : "") : field.value;
  }
}

function writeForm() {
  for (const name of FILTERS) {
    const field = form.elements[name];
    if (field.type === "checkbox") field.checked = state[name] === "1";
    else field.value = state[name];
  }
}

function refresh() {
  const rows = passing();
  showRows(rows);
  const all = rows.length === size ? "all" : `${rows.length.toLocaleString("en")} of`;
  count.textContent = `${all} ${size.toLocaleString("en")} ${head.whole ? "" : "sample "}answers`;
  const percent = (share) => (100 * share).toFixed(1);
  figures.replaceChildren(...rates(rows).slice(0, 6).map((one) =>
    make("li", "", `${one.metric.title}: ${percent(one.share)} % (${percent(one.low)} to ${percent(one.high)}), ${one.prompts.toLocaleString("en")} prompts` + (one.unparsed ? `, ${one.unparsed} unparsed left out` : ""))));
  byId("transcript-recomputed").textContent = (rows.length < size ? "Of the answers in view, " : "Of all answers, ") + (labels.size ? `with ${labels.size} of your labels, ` : "")
    + "recomputed here: the mean over prompts with Wilson's 95 % interval, for these training runs only. The study's own intervals are in the matrix.";
  byId("label-undo").disabled = history_.length === 0;
  byId("label-export").disabled = labels.size === 0;
  byId("label-export").textContent = `Export ${labels.size} label${labels.size === 1 ? "" : "s"}`;
}

function remember() {
  const named = new URLSearchParams(Object.entries(state).filter(([, value]) => value !== ""));
  const link = `#transcripts${named.size ? "?" + named : ""}`;
  try {
    history.replaceState(null, "", link);
  } catch {
    location.hash = link;
  }
}

function recall(scroll) {
  if (!location.hash.startsWith("#transcripts")) return;
  const named = new URLSearchParams(location.hash.split("?")[1] ?? "");
  for (const name of [...FILTERS, "row"]) state[name] = named.get(name) ?? "";
  writeForm();
  readForm();
  if (state.text) loadTexts().then(refresh);
  list.scrollTop = 0;
  at = -1;
  refresh();
  const row = Number(state.row);
  if (state.row !== "" && Number.isInteger(row) && row >= 0 && row < size) open(row);
  else detail.replaceChildren(make("p", "small", "Choose an answer."));
  if (scroll) byId("transcripts").scrollIntoView();
}

function onKey(event) {
  const page = Math.floor(list.clientHeight / HEIGHT);
  const move = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page, Home: -view.length, End: view.length }[event.key];
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (move !== undefined) choose(Math.max(0, Math.min(view.length - 1, at + move)));
  else if (event.key === "Enter") byId("answer-title")?.focus();
  else if (event.key === "/") form.elements.text.focus();
  else return;
  event.preventDefault();
}

function showHarm(on) {
  document.body.classList.toggle("show-harm", on);
  byId("show-harm").setAttribute("aria-pressed", String(on));
  for (const node of document.querySelectorAll(".harmful")) {
    if (on) node.removeAttribute("aria-hidden");
    else node.setAttribute("aria-hidden", "true");
  }
}

function start() {
  recallLabels();
  fillForm();
  let typing;
  form.addEventListener("input", (event) => {
    clearTimeout(typing);
    typing = setTimeout(changed, event.target.name === "text" ? 60 : 0);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(changed));
  list.addEventListener("scroll", drawSoon, { passive: true });
  list.addEventListener("keydown", onKey);
  byId("show-harm").addEventListener("click", () => showHarm(!document.body.classList.contains("show-harm")));
  byId("label-undo").addEventListener("click", () => { undoLabel(); refresh(); if (state.row) showDetail(Number(state.row)); });
  byId("label-export").addEventListener("click", exportLabels);
  addEventListener("hashchange", () => recall(true));
  refresh();
  recall(false);
  byId("transcripts").dataset.ready = "1";
}

function changed() {
  readForm();
  state.row = "";
  list.scrollTop = 0;
  at = -1;
  if (state.text) loadTexts().then(refresh);
  refresh();
  remember();
}

start();
