// One answer down to the token, and the same prompt in every other cell.
const detail = byId("answer-detail");
const SPECIAL = /<\|[^|>\n]{1,40}\|>|<\/?s>|\[\/?INST\]|<<\/?SYS>>|<(?:bos|eos|pad|start_of_turn|end_of_turn)>/g;

async function showDetail(row) {
  const [suite, prompt, category] = head.prompts[promptOf[row]], template = head.cells[cellOf[row]][3];
  const kind = `rendered${Object.keys(head.templates).indexOf(template)}`;
  const [query, answer, reference, raw, rendered] = await Promise.all([
    textOf("query", promptOf[row]), textOf("answer", row), textOf("reference", promptOf[row]), textOf("raw", row), textOf(kind, promptOf[row])]);
  if (String(row) !== state.row) return;
  const title = make("h3", "", cellName(cellOf[row], true));
  title.tabIndex = -1;
  title.id = "answer-title";
  const facts = [suite, prompt, category, `sample ${head.columns.sample[row]}`, `ended by ${word(finishOf[row])}`].filter(Boolean);
  const parts = [title, make("p", "small", facts.join(" · ")), ...passage("asked", query, askedHarm(row)), ...passage("answered", answer, answeredHarm(row))];
  if (reference) parts.push(...passage("expected", reference, askedHarm(row)));
  parts.push(verdictTable(row));
  if (rendered) parts.push(folded("The prompt as the model saw it", promptNode(rendered, template, askedHarm(row))));
  if (raw && raw !== "{}") parts.push(folded("Every scorer's raw reply", rawNode(raw, answeredHarm(row))));
  parts.push(await others(row));
  if (String(row) === state.row) detail.replaceChildren(...parts);
}

const passage = (name, text, harmful) => [make("p", "who", name), harmText("pre", "", text || "(empty)", harmful)];

function folded(title, ...content) {
  const node = make("details"), summary = make("summary", "", title);
  node.append(summary, ...content);
  return node;
}

function promptNode(text, template, harmful) {
  const node = harmText("pre", "", "", harmful), box = make("div");
  let from = 0;
  for (const match of text.matchAll(SPECIAL)) {
    node.append(document.createTextNode(shown(text.slice(from, match.index))), make("mark", "", match[0]));
    from = match.index + match[0].length;
  }
  node.append(document.createTextNode(shown(text.slice(from))));
  box.append(make("p", "small", `template ${template}, fingerprint ${head.templates[template][1] || "not kept"}`), node);
  return box;
}

function rawNode(text, harmful) {
  const box = make("div");
  for (const [scorer, raw] of Object.entries(JSON.parse(text))) {
    const reply = raw && typeof raw.reply === "string" ? raw.reply : JSON.stringify(raw, null, 1);
    box.append(make("p", "who", scorer), harmText("pre", "", reply, harmful));
  }
  return box;
}

function verdictTable(row) {
  const table = make("table", "plain verdicts"), body = make("tbody"), top = make("tr"), first = make("thead");
  for (const name of ["scorer", "behaviour", "verdict", "a person's label"]) top.append(make("th", "", name));
  first.append(top);
  for (const metric of metrics) {
    const scorer = head.scorers[metric.s];
    if (!scorer.parse[row]) continue;
    const line = make("tr");
    const said = word(scorer.parse[row]) === "unparsed" ? "unparsed" : metric.values[row];
    const value = Number.isNaN(said) ? "none" : metric.yes && typeof said === "number" ? (said ? "yes" : "no") : said;
    line.append(make("th", "", metric.title), make("td", "", word(scorer.behaviour[row]) ?? "–"), make("td", "", value), labelCell(row, metric));
    body.append(line);
  }
  table.append(first, body);
  return table;
}

function labelCell(row, metric) {
  const cell = make("td", "label");
  if (!metric.yes) return cell;
  for (const [name, value] of [["yes", 1], ["no", 0], ["none", undefined]]) {
    const button = make("button", "", name);
    button.type = "button";
    button.setAttribute("aria-pressed", String(labels.get(labelKey(row, metric)) === value));
    button.setAttribute("aria-label", `label ${name}: ${metric.name}`);
    button.addEventListener("click", () => { setLabel(row, metric, value); refresh(); showDetail(row); });
    cell.append(button);
  }
  return cell;
}

async function others(row) {
  const same = [...rowsOfPrompt(promptOf[row])].filter((one) => one !== row).slice(0, 200);
  const texts = await Promise.all(same.map((one) => textOf("answer", one)));
  const box = make("div", "others");
  same.forEach((one, i) => {
    const card = make("button", "other"), top = make("span", "row-head");
    card.type = "button";
    top.append(make("b", "", cellName(cellOf[one])), badge(one));
    card.append(top, harmText("span", "other-text", texts[i].slice(0, 400) || "(empty)", answeredHarm(one)));
    card.addEventListener("click", () => open(one));
    box.append(card);
  });
  const part = make("section", "same-prompt");
  part.append(make("p", "who", `the same prompt in ${same.length} other ${same.length === 1 ? "cell" : "cells"}`), box);
  return part;
}

function open(row) {
  const place = view.indexOf(row);
  if (place >= 0) return choose(place);
  state.row = String(row);
  at = -1;
  drawRows();
  remember();
  return showDetail(row);
}
