"use strict";
(() => {
  const root = document.documentElement;

  // Light or dark: the reader's system decides until the button does.
  const theme = document.getElementById("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const recall = () => { try { return localStorage.getItem("fanout-theme"); } catch { return null; } };
  const keep = (value) => { try { localStorage.setItem("fanout-theme", value); } catch { /* a file may have no storage */ } };
  const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : dark.matches;
  const show = () => theme.setAttribute("aria-pressed", String(isDark()));
  const kept = recall();
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  theme.hidden = false;
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    keep(root.dataset.theme);
    show();
  });
  dark.addEventListener("change", show);
  show();

  // Sorting: what has no figure comes last, either way.
  const table = document.getElementById("settings");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((h) => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.sort;
      const compare = (a, b) => {
        const x = key(a), y = key(b);
        if (x === "" || y === "") return (x === "") - (y === "");
        const order = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
        return down ? -order : order;
      };
      body.append(...[...body.rows].sort(compare));
    });
  });

  // Filters: a row stays where all of them hold.
  const form = document.getElementById("filters");
  const words = document.getElementById("words");
  const onlyFrontier = document.getElementById("only-frontier");
  const count = document.getElementById("count");
  const selects = [...form.querySelectorAll("select")];
  const nothing = document.getElementById("nothing");
  // A number is found as a whole, other words by how they begin.
  const split = (text) => text.toLowerCase().split(/[\s,;:()]+/).filter(Boolean);
  const found = (have, word) => have.some((h) => h === word || !/^[\d.]+$/.test(word) && h.startsWith(word));
  const filter = () => {
    const wanted = split(words.value);
    let shown = 0;
    for (const row of body.rows) {
      const have = [...row.cells].flatMap((cell) => split(cell.textContent));
      const holds = selects.every((s) => s.selectedIndex === 0 || row.dataset[s.dataset.key] === s.value) &&
        wanted.every((w) => found(have, w)) && (!onlyFrontier.checked || row.dataset.frontier === "1");
      row.hidden = !holds;
      if (holds) shown++;
    }
    count.textContent = `${shown} of ${body.rows.length}`;
    nothing.hidden = shown > 0;
  };
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
})();
