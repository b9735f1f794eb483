// The list of answers: only the rows in view exist in the page.
const HEIGHT = 54;
const list = byId("answers"), spacer = byId("answers-all");
let view = new Int32Array(0), at = -1;

function showRows(rows) {
  view = rows;
  at = Math.min(at, rows.length - 1);
  spacer.style.height = `${rows.length * HEIGHT}px`;
  drawRows();
}

function drawRows() {
  const first = Math.max(0, Math.floor(list.scrollTop / HEIGHT) - 4);
  const last = Math.min(view.length, first + Math.ceil(list.clientHeight / HEIGHT) + 8);
  spacer.replaceChildren(...Array.from({ length: Math.max(0, last - first) }, (_, i) => rowNode(first + i)));
  if (byId(`answer-${at}`)) list.setAttribute("aria-activedescendant", `answer-${at}`);
  else list.removeAttribute("aria-activedescendant");
  for (let place = first; place < last; place += 1) {
    for (const [kind, index] of [["answer", view[place]], ["query", promptOf[view[place]]]]) {
      if (textNow(kind, index) === undefined) textOf(kind, index).then(drawSoon);
    }
  }
}

let waiting = false;
function drawSoon() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; drawRows(); });
}

function rowNode(place) {
  const row = view[place], node = make("div", place === at ? "answer-row chosen" : "answer-row");
  node.id = `answer-${place}`;
  node.style.transform = `translateY(${place * HEIGHT}px)`;
  node.setAttribute("role", "option");
  node.setAttribute("aria-selected", String(place === at));
  node.setAttribute("aria-posinset", String(place + 1));
  node.setAttribute("aria-setsize", String(view.length));
  const line = make("span", "row-head");
  line.append(make("b", "", cellName(cellOf[row])), make("span", "", promptName(row)), badge(row));
  node.append(line, harmText("span", "snippet", snippet(row), askedHarm(row)));
  node.addEventListener("click", () => choose(place));
  return node;
}

function snippet(row) {
  const query = textNow("query", promptOf[row]), answer = textNow("answer", row);
  return query === undefined || answer === undefined ? "…" : `${query.slice(0, 70)} ▸ ${answer.slice(0, 160)}`;
}

function badge(row) {
  const name = word(behaviourOf[row]);
  return make("span", `badge ${tone(name, asksOf(row))}`, (name ?? "no behaviour") + (word(finishOf[row]) === "length" ? ", cut" : ""));
}

function tone(name, asks) {
  if (name !== "refused" && name !== "complied") return name === "unparsed" || name === "incoherent" || name === "empty" ? "wary" : "";
  if (asks === "unknown") return "";
  return (name === "refused") === (asks === "harm") ? "good-text" : "bad-text";
}

// Blurred, and hidden from screen readers, until asked for.
function harmText(tag, className, text, harmful) {
  const node = make(tag, className, text);
  if (harmful && !head.redacted) {
    node.classList.add("harmful");
    if (!document.body.classList.contains("show-harm")) node.setAttribute("aria-hidden", "true");
  }
  return node;
}

function choose(place) {
  if (place < 0 || place >= view.length) return;
  at = place;
  state.row = String(view[place]);
  const top = place * HEIGHT;
  if (top < list.scrollTop) list.scrollTop = top;
  if (top + HEIGHT > list.scrollTop + list.clientHeight) list.scrollTop = top + HEIGHT - list.clientHeight;
  drawRows();
  showDetail(view[place]);
  remember();
}
