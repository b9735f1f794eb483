// What the page was given: names and columns at once, texts in chunks when they are needed.
// Foreign text reaches the page only through text nodes; nothing here builds HTML or attributes from it.
const byId = (id) => document.getElementById(id);
const head = JSON.parse(byId("transcripts-head").textContent);
const size = head.columns.cell.length;
const cellOf = Int32Array.from(head.columns.cell);
const promptOf = Int32Array.from(head.columns.prompt);
const finishOf = Uint16Array.from(head.columns.finish);
const word = (number) => head.words[number];
const metrics = head.scorers.flatMap((scorer, s) =>
  scorer.metrics.map((metric, m) => ({ ...metric, scorer: scorer.name, key: `${scorer.name}/${metric.name}`, s, m,
    values: Float64Array.from(metric.values, (value) => (value === null ? NaN : value)) })));
const behaviourOf = behaviours();
const rowsOfPrompt = groupedRows();

function behaviours() {
  // The first scorer's that judges behaviour; an answer whose verdict could not be read is "unparsed".
  const unparsed = head.words.indexOf("unparsed");
  const found = new Uint16Array(size);
  for (const scorer of head.scorers) {
    for (let row = 0; row < size; row++) {
      if (found[row] === 0) found[row] = scorer.parse[row] === unparsed && unparsed > 0 ? unparsed : scorer.behaviour[row];
    }
  }
  return found;
}

function groupedRows() {
  const starts = new Int32Array(head.prompts.length + 1);
  for (const prompt of promptOf) starts[prompt + 1]++;
  for (let prompt = 0; prompt < head.prompts.length; prompt++) starts[prompt + 1] += starts[prompt];
  const places = starts.slice(), rows = new Int32Array(size);
  for (let row = 0; row < size; row++) rows[places[promptOf[row]]++] = row;
  return (prompt) => rows.subarray(starts[prompt], starts[prompt + 1]);
}

const chunks = new Map();
const loaded = new Map();

async function unpacked(id) {
  const node = byId(`chunk-${id}`);
  if (!node) return [];
  const bytes = Uint8Array.from(atob(node.textContent.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const texts = JSON.parse(await new Response(stream).text());
  loaded.set(id, texts);
  node.textContent = "";
  return texts;
}

function chunk(id) {
  if (!chunks.has(id)) chunks.set(id, unpacked(id));
  return chunks.get(id);
}

const chunkId = (kind, index) => `${kind}-${Math.floor(index / head.rows)}`;
const textOf = async (kind, index) => (await chunk(chunkId(kind, index)))[index % head.rows] ?? "";
const textNow = (kind, index) => loaded.get(chunkId(kind, index))?.[index % head.rows];
const chunkCount = (total) => Math.ceil(total / head.rows);

// What would steer a reader's screen or hide from it is shown as its escape.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const shown = (text) => text.replace(HIDDEN, (letter) => "\\u" + letter.charCodeAt(0).toString(16).padStart(4, "0"));

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.append(document.createTextNode(shown(String(text))));
  return node;
}

const codeOf = (condition) => head.conditions[condition] ?? condition;
const templateCode = (template) => (head.templates[template] ?? [template])[0];

function cellName(cell, full) {
  const [condition, seed, step, template] = head.cells[cell];
  const pair = full ? `${condition} → ${template}` : `${codeOf(condition)} → ${templateCode(template)}`;
  return pair + (step === null ? "" : `, step ${step}`) + (seed === null ? "" : `, seed ${seed}`);
}

const suiteOf = (row) => head.cells[cellOf[row]][4];
const asksOf = (row) => head.suites[suiteOf(row)] ?? "unknown";
const promptName = (row) => head.prompts[promptOf[row]][1];
const askedHarm = (row) => asksOf(row) === "harm";
const answeredHarm = (row) => askedHarm(row) && !["refused", "empty"].includes(word(behaviourOf[row]));
