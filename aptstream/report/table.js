// Tables sort by a click on a heading: numbers as numbers, texts as texts, and empty cells stay last both ways.
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
