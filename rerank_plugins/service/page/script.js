// Sends requests to the service that serves this page, and animates the passages to their new positions.

const EXAMPLES = [
  {
    name: "Photosynthesis, not just shared words",
    query: "How does photosynthesis work in plants?",
    passages: [
      "Plants have green leaves due to chlorophyll pigment.",
      "Aspirin can cause stomach irritation and bleeding in some patients.",
      "Photosynthesis produces oxygen as a byproduct.",
      "Photosynthesis uses sunlight to convert CO2 and water into glucose.",
    ],
  },
  {
    name: "Side effects of aspirin",
    query: "What are the side effects of aspirin?",
    passages: [
      "Plants have green leaves due to chlorophyll pigment.",
      "Photosynthesis uses sunlight to convert CO2 and water into glucose.",
      "Photosynthesis produces oxygen as a byproduct.",
      "Aspirin can cause stomach irritation and bleeding in some patients.",
    ],
  },
  {
    name: "Apple's AI, not its new iPhone",
    query: "the AI features Apple has just released",
    passages: [
      "Apple's event presents a new iPhone and health features.",
      "Apple releases its latest results: iPhone sales have just reached a record.",
      "Apple Intelligence can now write, summarise and make pictures on the device.",
    ],
  },
  {
    name: "Quantum entanglement",
    query: "Explain quantum entanglement",
    passages: [
      "Classical physics explains motion using Newton's laws.",
      "Entangled states collapse upon measurement, revealing non-local correlations.",
      "Quantum entanglement is a phenomenon where particles remain connected regardless of distance.",
    ],
  },
];

const at = (id) => document.getElementById(id);
const make = (tag, className, text) => Object.assign(document.createElement(tag), { className, textContent: text ?? "" });

for (const [place, example] of EXAMPLES.entries()) at("example").append(new Option(example.name, place));
at("example").addEventListener("change", () => show(EXAMPLES[at("example").value]));
at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  rerank();
});
at("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(at("curl").textContent);
    at("status").textContent = "Copied.";
  } catch {
    // Browsers allow clipboard access only over HTTPS and on localhost.
    getSelection().selectAllChildren(at("curl"));
    at("status").textContent = "Selected. Press Ctrl+C or ⌘C to copy.";
  }
});
show(EXAMPLES[0]);

function show(example) {
  at("query").value = example.query;
  at("passages").value = example.passages.join("\n");
}

// With blank lines in it, the text is split there; otherwise each line is a passage.
function passages() {
  const text = at("passages").value.trim();
  const parts = /\n\s*\n/.test(text) ? text.split(/\n\s*\n/) : text.split("\n");
  return parts.map((part) => part.trim()).filter(Boolean);
}

async function rerank() {
  const body = { query: at("query").value, documents: passages(), raw_scores: false, details: true };
  const headers = { "Content-Type": "application/json" };
  if (at("key").value) headers.Authorization = `Bearer ${at("key").value}`;
  at("submit").disabled = true;
  at("error").hidden = true;
  at("status").textContent = "Reranking…";
  try {
    const started = performance.now();
    const response = await fetch("rerank", { method: "POST", headers, body: JSON.stringify(body) });
    // A proxy in front of the service may answer with HTML.
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(answer.error ?? `The service returned status ${response.status}.`);
    draw(answer, performance.now() - started);
  } catch (error) {
    at("error").textContent = error.message;
    at("error").hidden = false;
    at("status").textContent = "The request failed.";
  } finally {
    at("submit").disabled = false;
  }
  drawCall(body);
}

function draw({ results, report }, milliseconds) {
  const list = at("results");
  const before = new Map([...list.children].map((item) => [item.dataset.text, item.getBoundingClientRect().top]));
  const items = results.map((result, place) => item(result, place));
  list.replaceChildren(...items.toSorted((a, b) => a.dataset.index - b.dataset.index));
  const from = items.map((each) => before.get(each.dataset.text) ?? each.getBoundingClientRect().top);
  list.replaceChildren(...items);
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) items.forEach((each, place) => slide(each, from[place]));
  const truncated = report.truncated ? `, ${report.truncated} truncated` : "";
  const top = results[0];
  at("status").textContent =
    `${results.length} passages in ${milliseconds.toFixed(0)} ms (${(report.forward_seconds * 1000).toFixed(0)} ms in ` +
    `the model, ${report.tokens} tokens${truncated}). First: passage ${top.index + 1}, score ${top.relevance_score.toFixed(3)}.`;
}

function item({ document: text, index, relevance_score: score, truncated, span }, place) {
  const element = make("li", "result");
  element.dataset.index = index;
  element.dataset.text = text;
  const line = make("div", "line");
  const moved = index - place;
  const move = moved > 0 ? `up ${moved}` : moved < 0 ? `down ${-moved}` : "unchanged";
  line.append(
    make("span", "rank", String(place + 1)),
    make("span", "quiet", `was ${index + 1}`),
    make("span", moved > 0 ? "up" : moved < 0 ? "down" : "quiet", (moved > 0 ? "▲ " : moved < 0 ? "▼ " : "") + move),
  );
  if (truncated) line.append(make("span", "truncated", "truncated: only the beginning was read"));
  line.append(make("span", "score", score.toFixed(3)));
  const bar = make("div", "bar");
  const filled = make("span", "");
  filled.style.width = `${Math.max(0, Math.min(1, score)) * 100}%`;
  bar.append(filled);
  bar.setAttribute("aria-hidden", "true");
  element.append(line, bar, words(text, span));
  return element;
}

// Spans count characters as Python does: in code points, not UTF-16 units.
function words(text, span) {
  const element = make("p", "text");
  if (!span) {
    element.textContent = text;
    return element;
  }
  const points = Array.from(text);
  const [start, end] = span;
  element.append(points.slice(0, start).join(""), make("mark", "", points.slice(start, end).join("")), points.slice(end).join(""));
  return element;
}

function slide(element, from) {
  const distance = from - element.getBoundingClientRect().top;
  if (!distance) return;
  element.style.transition = "none";
  element.style.transform = `translateY(${distance}px)`;
  requestAnimationFrame(() =>
    requestAnimationFrame(() => {
      element.style.transition = "";
      element.style.transform = "";
    }),
  );
}

function drawCall(body) {
  const quoted = JSON.stringify(body, null, 1).replaceAll("'", "'\\''");
  const key = at("key").value ? ` -H "Authorization: Bearer $RERANK_API_KEY"` : "";
  at("curl").textContent =
    `curl ${new URL("rerank", location.href)} -H "Content-Type: application/json"${key} -d '${quoted}'`;
  at("call").hidden = false;
}
