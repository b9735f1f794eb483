// A person's labels: they stand in for a scorer's verdict in this page until they are taken back.
const labels = new Map();
const history_ = [];
const storeKey = `puretune labels ${head.study} ${size}`;
const labelKey = (row, metric) => `${row} ${metric.key}`;

function valueOf(row, metric) {
  const label = labels.size ? labels.get(labelKey(row, metric)) : undefined;
  return label === undefined ? metric.values[row] : label;
}

function setLabel(row, metric, value) {
  const key = labelKey(row, metric), before = labels.get(key);
  if (value === before) return;
  history_.push([key, before]);
  keep(key, value);
}

function keep(key, value) {
  if (value === undefined) labels.delete(key);
  else labels.set(key, value);
  try {
    localStorage.setItem(storeKey, JSON.stringify([...labels]));
  } catch {} // a browser that keeps nothing for files: labels last as long as the page
}

function undoLabel() {
  const last = history_.pop();
  if (last) keep(...last);
}

function recallLabels() {
  try {
    for (const [key, value] of JSON.parse(localStorage.getItem(storeKey) ?? "[]")) labels.set(key, value);
  } catch {} // nothing was kept
}

function labelFiles() {
  // One file a metric, as `puretune compare RUN --labels FILE` reads it.
  const files = new Map();
  for (const [key, value] of labels) {
    const at = key.indexOf(" "), row = Number(key.slice(0, at)), metric = key.slice(at + 1);
    const [condition, seed, step, test_template, suite] = head.cells[cellOf[row]];
    const line = { label: value ? "yes" : "no", condition, seed, step, test_template, suite, prompt_id: promptName(row), sample: head.columns.sample[row] };
    files.set(metric, (files.get(metric) ?? "") + JSON.stringify(line) + "\n");
  }
  return files;
}

function exportLabels() {
  for (const [metric, lines] of labelFiles()) {
    const link = make("a");
    link.href = URL.createObjectURL(new Blob([lines], { type: "application/jsonl" }));
    link.download = `labels-${metric.replace(/[^A-Za-z0-9._-]+/g, "-")}.jsonl`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
}
