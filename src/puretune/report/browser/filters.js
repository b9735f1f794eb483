// Which answers are in view, and what they come to.
const FILTERS = ["condition", "template", "class", "suite", "category", "behaviour", "metric", "value", "finish", "text", "flips"];
const state = { row: "" };
for (const name of FILTERS) state[name] = "";
const lower = { answer: [], query: [] };

const chosenMetric = () => metrics.find((metric) => metric.key === state.metric);

function passing() {
  const cells = head.cells.map(([condition, , , template, suite]) =>
    fits("condition", condition) && fits("template", template) && fits("suite", suite) && fits("class", head.suites[suite] ?? "unknown"));
  const prompts = head.prompts.map(([, , category]) => fits("category", category ?? "none"));
  const finish = state.finish ? head.words.indexOf(state.finish) : -1;
  const behaviour = state.behaviour ? head.words.indexOf(state.behaviour) : -1;
  const metric = state.value ? chosenMetric() : undefined;
  const found = search(state.text);
  const rows = new Int32Array(size);
  let count = 0;
  for (let row = 0; row < size; row++) {
    if (!cells[cellOf[row]] || !prompts[promptOf[row]]) continue;
    if (finish >= 0 && finishOf[row] !== finish) continue;
    if (behaviour >= 0 && behaviourOf[row] !== behaviour) continue;
    if (metric && !fitsValue(valueOf(row, metric))) continue;
    if (found && !found(row)) continue;
    rows[count++] = row;
  }
  return state.flips ? flipped(rows.subarray(0, count)) : rows.slice(0, count);
}

const fits = (name, value) => !state[name] || state[name] === value;

function fitsValue(value) {
  if (state.value === "unparsed") return Number.isNaN(value);
  return state.value === "yes" ? value >= 0.5 : value < 0.5;
}

function search(text) {
  if (!text) return undefined;
  const wanted = text.toLowerCase();
  const queries = hits(lower.query, wanted, head.prompts.length), answers = hits(lower.answer, wanted, size);
  return (row) => queries[promptOf[row]] === 1 || answers[row] === 1;
}

function hits(joined, wanted, total) {
  // Texts of a chunk are searched as one string: a hit is marked, and the search goes on behind that text.
  const found = new Uint8Array(total);
  joined.forEach(({ text, starts }, at) => {
    let place = 0;
    for (let from = text.indexOf(wanted); from >= 0; from = text.indexOf(wanted, starts[place])) {
      while (place < starts.length && starts[place] <= from) place++;
      found[at * head.rows + place - 1] = 1;
      if (place === starts.length) break;
    }
  });
  return found;
}

function joinedTexts(texts) {
  const starts = new Int32Array(texts.length), parts = texts.map((text) => text.toLowerCase());
  for (let place = 1; place < parts.length; place++) starts[place] = starts[place - 1] + parts[place - 1].length + 1;
  return { text: parts.join("\u0000"), starts };
}

function flipped(rows) {
  // Prompts on which the cells in view differ in the chosen metric.
  const metric = chosenMetric() ?? metrics[0];
  if (!metric) return rows.slice();
  const least = new Float64Array(head.prompts.length).fill(Infinity), most = new Float64Array(head.prompts.length).fill(-Infinity);
  for (const row of rows) {
    const value = valueOf(row, metric), prompt = promptOf[row];
    if (value < least[prompt]) least[prompt] = value;
    if (value > most[prompt]) most[prompt] = value;
  }
  return rows.filter((row) => most[promptOf[row]] > least[promptOf[row]]);
}

function rates(rows) {
  // Of each metric over these rows: the mean over prompts, and Wilson's interval with prompts as the count.
  return metrics.map((metric) => ({ metric, ...rate(rows, metric) })).filter((one) => one.answers > 0);
}

function rate(rows, metric) {
  const sums = new Float64Array(head.prompts.length), counts = new Int32Array(head.prompts.length);
  let answers = 0, unparsed = 0;
  for (const row of rows) {
    const value = valueOf(row, metric);
    if (Number.isNaN(value)) {
      if (metric.values[row] !== metric.values[row] && head.scorers[metric.s].parse[row]) unparsed++;
      continue;
    }
    sums[promptOf[row]] += value;
    counts[promptOf[row]]++;
    answers++;
  }
  let prompts = 0, total = 0;
  counts.forEach((count, prompt) => { if (count) { prompts++; total += sums[prompt] / count; } });
  return { answers, unparsed, prompts, ...wilson(total / prompts, prompts) };
}

function wilson(share, count) {
  const z = 1.959964, square = z * z, base = 1 + square / count;
  const middle = (share + square / (2 * count)) / base;
  const half = (z / base) * Math.sqrt((share * (1 - share)) / count + square / (4 * count * count));
  return { share, low: Math.max(0, middle - half), high: Math.min(1, middle + half) };
}

async function loadTexts(progress) {
  for (const [kind, total] of [["query", head.prompts.length], ["answer", size]]) {
    for (let at = 0; at < chunkCount(total); at++) {
      if (lower[kind][at]) continue;
      lower[kind][at] = joinedTexts(await chunk(`${kind}-${at}`));
      if (progress) progress(kind, at);
      await new Promise((done) => setTimeout(done));
    }
  }
}
