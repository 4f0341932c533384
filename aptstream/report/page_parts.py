"""Style and script of the page: constants, whose hashes the page's security policy names."""

STYLE = """
:root { color-scheme: light; --ink: #1c2430; --soft: #5b6675; --line: #dfe3e8; --accent: #0072b2;
  --warn: #d55e00; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 3rem 1.5rem 4rem; }
h1 { font-size: 1rem; font-weight: 600; margin: 0 0 .5rem; color: var(--soft); overflow-wrap: anywhere; }
.answer { font-size: 1.65rem; line-height: 1.3; font-weight: 500; letter-spacing: -.01em; margin: 0 0 2rem;
  max-width: 48rem; text-wrap: pretty; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; font-weight: 600; margin: 3rem 0 1rem; padding-top: 1rem;
  border-top: 1px solid var(--line); }
.warnings { border-left: 4px solid var(--warn); background: #fdf4ec; padding: .8rem 1.2rem;
  margin: 0 0 2rem; }
.warnings strong { color: #a34700; }
.warnings ul { margin: .3rem 0 0; padding-left: 1.2rem; }
.numbers { display: grid; grid-template-columns: repeat(auto-fill, minmax(12rem, 1fr)); gap: 1.4rem 2rem;
  margin: 0; }
.numbers div { border-top: 2px solid var(--ink); padding-top: .4rem; }
.numbers dt { color: var(--soft); font-size: .85rem; line-height: 1.35; }
.numbers dd { margin: .1rem 0 0; font-size: 1.3rem; font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere; }
h2 + p { max-width: 48rem; margin: 0 0 1.5rem; overflow-wrap: anywhere; }
.facts + .figures { margin-top: 2rem; }
.figures { display: grid; grid-template-columns: repeat(2, 1fr); gap: 2rem; align-items: start; }
figure { margin: 0; min-width: 0; }
figure.wide { grid-column: 1 / -1; }
figure .image { overflow-x: auto; }
figure img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
figure.wide img { width: 100%; max-width: 60rem; max-height: 44rem; object-fit: contain; }
figure.narrow img { width: 100%; max-width: 30rem; }
figcaption { color: var(--soft); font-size: .88rem; margin-top: .6rem; }
figcaption b { color: var(--ink); }
.scroll { overflow: auto; max-height: 36rem; border: 1px solid var(--line); }
table { border-collapse: collapse; width: 100%; font-size: .82rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .5rem; text-align: right; white-space: nowrap; }
thead th { position: sticky; top: 0; background: #f5f7f9; font-weight: 600; box-shadow: 0 1px 0 var(--line);
  white-space: normal; vertical-align: bottom; line-height: 1.25; }
thead th.sorts { cursor: pointer; }
thead button { all: unset; cursor: pointer; padding-left: .3em; }
thead button:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
thead button::after { content: "\\2195"; color: #a9b2bd; }
th[aria-sort=ascending] button::after { content: "\\2191"; color: var(--accent); }
th[aria-sort=descending] button::after { content: "\\2193"; color: var(--accent); }
tbody tr + tr td { border-top: 1px solid #eef0f3; }
tbody tr:hover { background: #f0f6fa; }
.note { color: var(--soft); font-size: .88rem; }
.facts { display: grid; grid-template-columns: minmax(10rem, max-content) 1fr; gap: .3rem 2rem; margin: 0;
  font-size: .9rem; }
.facts dt { color: var(--soft); }
.facts dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); }
@media (max-width: 44rem) {
  main { padding: 1.5rem 1rem 3rem; }
  .answer { font-size: 1.3rem; }
  .numbers { grid-template-columns: repeat(2, 1fr); gap: 1rem; }
  .figures { grid-template-columns: 1fr; }
  .facts { grid-template-columns: 1fr; gap: 0; }
  figure.wide img { min-width: 40rem; }
  .facts dd { margin-bottom: .6rem; }
}
@media print {
  @page { margin: 18mm; }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  .answer { font-size: 15pt; }
  .scroll { max-height: none; overflow: visible; border: 0; }
  table { font-size: 7.5pt; }
  th, td { padding: .15rem .4rem; }
  thead th { position: static; }
  thead button { display: none; }
  figure, tr, .numbers div, .warnings { break-inside: avoid; }
  h2 { break-after: avoid; }
}
"""

# Numbers sort as numbers, texts as texts, and empty cells stay last in both directions.
SCRIPT = """
for (const head of document.querySelectorAll("table.sortable thead th")) {
  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("aria-label", "Sort by " + head.textContent);
  head.append(button);
  head.classList.add("sorts");
  head.addEventListener("click", () => {
    const sign = head.getAttribute("aria-sort") === "descending" ? 1 : -1;
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const body = head.closest("table").tBodies[0];
    const text = (row) => row.cells[head.cellIndex].textContent;
    const order = (a, b) => {
      const s = text(a), t = text(b);
      if (s === "" || t === "") return (s === "") - (t === "");
      return sign * (isNaN(s) || isNaN(t) ? s.localeCompare(t) : s - t);
    };
    body.append(...[...body.rows].sort(order));
  });
}
"""
