"use strict";
// Adds folded sections, sorting, filters, CSV, each cell's provenance and zoom to a page whose
// results, claims, figures and first tables need no script.
(() => {
  const one = (selector, from = document) => from.querySelector(selector);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const words = (node) => (node ? node.textContent.replace(/\s+/g, " ").trim() : "");

  /** An element with properties and children; text stays text. */
  function make(tag, properties = {}, ...children) {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children.filter((child) => child !== null));
    return node;
  }

  document.documentElement.classList.add("scripted");

  // Folded sections and traces are one compressed block, read once and when first needed.
  const block = one("#packed");
  let reading = null;
  function unpack() {
    return (reading ??= (() => {
      const bytes = Uint8Array.from(atob(block.textContent), (letter) => letter.charCodeAt(0));
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
      return new Response(stream).json();
    })());
  }

  /** Puts a folded section's content in its place, once. */
  function build(box) {
    return (box.building ??= unpack().then(({ sections }) => {
      const parsed = new DOMParser().parseFromString(sections[box.id], "text/html");
      box.append(...parsed.body.childNodes);
      enhance(box);
    }));
  }

  document.addEventListener("toggle", ({ target }) => {
    if (target.open && target.matches("details.folded")) build(target);
  }, true);

  // Sorting: a heading is a button; once up, twice down, three times as it was.
  function keyOf(row, column) {
    const cell = row.cells[column];
    const { value } = cell.dataset;
    if (value !== undefined) return value === "" ? NaN : Number(value === "inf" ? Infinity : value);
    const text = words(one(".ours", cell) ?? cell);
    const number = Number.parseFloat(text.replaceAll("−", "-").replaceAll(",", "").replace(/^[≥<]\s*/, ""));
    if (!Number.isNaN(number)) return number;
    return cell.classList.contains("words") || cell.tagName === "TH" ? text : NaN;
  }

  function compare(first, second) {
    if (typeof first === "number" && typeof second === "number") return first - second;
    return String(first).localeCompare(String(second), "en", { numeric: true });
  }

  function sort(table, column, direction) {
    const rows = (table.inOrder ??= all("tbody tr", table).map((row) => [row, row.parentNode]));
    if (direction === "none") {
      for (const [row, home] of rows) home.append(row);
      return;
    }
    const keyed = rows.map(([row]) => [keyOf(row, column), row]);
    const missing = ([key]) => Number.isNaN(key);
    const known = keyed.filter((pair) => !missing(pair)).sort(([a], [b]) => compare(a, b));
    if (direction === "descending") known.reverse();
    // What isn't known comes last, whichever way.
    table.tBodies[0].append(...[...known, ...keyed.filter(missing)].map(([, row]) => row));
  }

  const NEXT = { none: "ascending", ascending: "descending", descending: "none" };
  function makeSortable(table) {
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      const button = make("button", { type: "button", className: "sort" }, ...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const direction = NEXT[heading.ariaSort ?? "none"];
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        if (direction !== "none") heading.ariaSort = direction;
        sort(table, column, direction);
      });
    });
  }

  // CSV: the rows shown, in their order; a cell of three lines is three columns.
  const SIDES = [["ours", ".ours"], ["paper", ".paper"], ["difference", ".diff"]];

  function field(text) {
    // A spreadsheet would compute text that begins like a formula.
    const isNumber = /^[-+]?[\d.]/.test(text);
    return `"${(/^[=+@-]/.test(text) && !isNumber ? `'${text}` : text).replaceAll('"', '""')}"`;
  }

  function csvOf(table) {
    const headings = [...table.tHead.rows[0].cells].map(words);
    const first = one("tbody tr", table);
    const sides = [...(first?.cells ?? [])].map((cell) => (one(".ours", cell) ? SIDES : [["", ""]]));
    const line = (fields) => `${fields.map(field).join(",")}\r\n`;
    const head = headings.flatMap((heading, at) =>
      (sides[at] ?? [["", ""]]).map(([side]) => [heading, side].filter(Boolean).join(", ")));
    const rows = all("tbody tr", table).filter((row) => !row.hidden).map((row) =>
      [...row.cells].flatMap((cell, at) =>
        sides[at].map(([, side]) => words(side ? one(side, cell) : cell))));
    return [head, ...rows].map(line).join("");
  }

  function addCsv(table) {
    const box = table.closest(".scroll");
    const place = box.closest("[id]");
    const label = box.getAttribute("aria-label");
    const button = make("button", { type: "button", className: "csv" }, "CSV");
    button.setAttribute("aria-label", `CSV of ${label}`);
    button.addEventListener("click", () => {
      const at = all("table", place).indexOf(table);
      const file = new Blob(["\ufeff", csvOf(table)], { type: "text/csv" });
      const href = URL.createObjectURL(file);
      make("a", { href, download: `${place.id}${at ? `-${at + 1}` : ""}.csv` }).click();
      setTimeout(() => URL.revokeObjectURL(href), 1000);
    });
    box.after(button);
  }

  // Filters: a field named like a row's data-… must equal it; the text must occur in the row.
  function makeFilter(filter) {
    const fields = all("[name]", filter);
    const rows = all(filter.dataset.rows).map((row) => [row, words(row).toLocaleLowerCase("en")]);
    const parts = [...new Set(rows.map(([row]) => row.closest(".part")))].filter(Boolean);
    const output = one("output", filter);
    function apply() {
      const { text, ...chosen } = Object.fromEntries(fields.map(({ name, value }) => [name, value]));
      const wanted = text.toLocaleLowerCase("en").split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const [row, content] of rows) {
        row.hidden = !(
          Object.entries(chosen).every(([name, value]) => !value || row.dataset[name] === value) &&
          wanted.every((word) => content.includes(word))
        );
        shown += row.hidden ? 0 : 1;
      }
      const isFiltered = fields.some(({ value }) => value);
      for (const part of parts) {
        part.hidden = !one("[data-ours]:not([hidden])", part);
        part.open ||= isFiltered;
      }
      output.value = `${shown} of ${rows.length} ${output.dataset.noun}`;
    }
    filter.addEventListener("input", apply);
    filter.hidden = false;
    apply();
  }

  // Cells: one stop of the tab key a table; arrows move, Enter opens.
  const cellsOf = (row) => all("td", row);
  function makeGrid(table) {
    table.setAttribute("role", "grid");
    const first = one("tbody td", table);
    if (first) first.tabIndex = 0;
  }

  function enhance(root) {
    all("table.sortable", root).forEach(makeSortable);
    all(".scroll > table", root).forEach(addCsv);
    all("table.grid, #numbers table.list", root).forEach(makeGrid);
    all("search.filter", root).forEach(makeFilter);
  }
  enhance(document);

  function focusCell(from, to) {
    from.tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  }

  function neighbour(cell, key) {
    const row = cell.parentNode;
    const rows = all("tbody tr", row.closest("table")).filter((other) => !other.hidden);
    const cells = cellsOf(row);
    const [x, y] = [cells.indexOf(cell), rows.indexOf(row)];
    const to = {
      ArrowLeft: () => cells[x - 1],
      ArrowRight: () => cells[x + 1],
      ArrowUp: () => rows[y - 1] && cellsOf(rows[y - 1])[x],
      ArrowDown: () => rows[y + 1] && cellsOf(rows[y + 1])[x],
      Home: () => cells[0],
      End: () => cells.at(-1),
    }[key];
    return to && (to() ?? cell);
  }

  const idOf = (cell) => cell.dataset.cell ?? cell.parentNode.dataset.cell;

  document.addEventListener("keydown", (event) => {
    const cell = event.target.closest?.("[role=grid] td");
    if (!cell || event.altKey || event.ctrlKey || event.metaKey) return;
    const to = neighbour(cell, event.key);
    if (to) focusCell(cell, to);
    else if (event.key === "Enter" || event.key === " ") showOrigin(cell);
    else return;
    event.preventDefault();
  });

  document.addEventListener("click", (event) => {
    const cell = event.target.closest("[role=grid] td");
    if (!cell || String(getSelection())) return;
    const current = one("td[tabindex='0']", cell.closest("table"));
    if (current) current.tabIndex = -1;
    cell.tabIndex = 0;
    cell.focus({ preventScroll: true });
    showOrigin(cell);
  });

  // A cell's provenance.
  let traces = null;
  const dialog = one("#origin");

  function titleOf(cell) {
    const at = one(`table.grid td[data-cell="${idOf(cell)}"]`);
    const table = at.closest("table");
    const headings = [...table.tHead.rows[0].cells].map(words);
    const labels = all("th", at.parentNode).map((label, i) =>
      ["τ", "Ckpt."].includes(headings[i]) ? `${headings[i]} ${words(label)}` : words(label));
    const number = idOf(cell).split("-")[0];
    const heading = headings[at.cellIndex];
    return { number, heading, labels, row: all("th", at.parentNode).map(words).join(" ") };
  }

  function listOf(pairs) {
    const known = pairs.filter(([, value]) => value !== undefined && value !== "");
    return make("dl", { className: "record" }, ...known.flatMap(([name, value]) => [
      make("dt", {}, name), make("dd", {}, ...(Array.isArray(value) ? value : [String(value)]))]));
  }

  function tableOf(headings, rows) {
    const line = (tag, cells) => make("tr", {}, ...cells.map((cell) =>
      cell instanceof Node ? make(tag, {}, cell) : make(tag, {}, String(cell))));
    return make("div", { className: "scroll" }, make("table", {},
      make("thead", {}, line("th", headings)), make("tbody", {}, ...rows.map((row) => line("td", row)))));
  }

  const quoted = (text) => (/^[\w.-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

  const linesOf = (lines) => make("pre", {}, lines.join("\n"));

  function nodeOf(run) {
    if (run.at === undefined) {
      return make("p", { className: "not-run" },
        "No provenance of this run lies beside the records; `repro collect` writes it.");
    }
    const node = traces.nodes[run.at];
    const chain = [];
    for (let at = node.parent; at !== undefined && chain.length < 99; at = traces.nodes[at].parent) {
      chain.unshift(traces.nodes[at]);
    }
    const settings = new Set([...chain, node].map((step) => step.shared));
    const clock = node.started
      ? `${node.started}, ${node.seconds} s in ${node.attempts} attempt${node.attempts === 1 ? "" : "s"}`
      : undefined;
    const own = traces.shared[node.shared];
    const codes = new Set([...settings].map((at) => traces.shared[at].code).filter(Boolean));
    return listOf([
      ["fingerprint", node.fingerprint],
      ["pre-trained by", chain.map((step) => step.node).join(" → ")],
      ["ran", clock],
      ...Object.entries({ ...own, code: [...codes].join(", ") }),
    ]);
  }

  function runsOf(trace) {
    const runs = traces.groups[trace.group];
    const metrics = (run) => run.metrics.filter(([task]) => !trace.task || task === trace.task);
    const rows = runs.map((run) => [
      run.node || "without a name",
      run.seeds[0], run.seeds[1],
      run.step,
      ...(trace.task ? metrics(run).map(([, , value]) => value.toFixed(4)) : [run.score.toFixed(4)]),
      ...(trace.task ? [] : [run.last ? `${run.last[1].toFixed(4)} at ${run.last[0]}` : "–"]),
    ]);
    const what = trace.task
      ? metrics(runs[0]).map(([, metric]) => metric.replaceAll("_", " "))
      : ["Suite score", "At the last step"];
    const each = runs.map((run) => make("details", {},
      make("summary", {}, run.node || "without a name"),
      trace.task ? null : listOf(run.metrics.map(([task, metric, value]) =>
        [`${task} ${metric.replaceAll("_", " ")}`, value.toFixed(4)])),
      listOf([["steps scored", run.steps.join(", ")]]),
      nodeOf(run)));
    const count = `${runs.length} run${runs.length === 1 ? "" : "s"}`;
    return [
      make("p", {}, `${trace.task ? `Median over ${count} of ${trace.task}, each at its selected step`
        : `Mean over ${count} of the suite's score`}; ${traces.rule}.`),
      tableOf(["Run", "Pre-training seed", "Fine-tuning seed", "Step selected", ...what], rows),
      ...each,
    ];
  }

  async function showOrigin(cell) {
    const id = idOf(cell);
    // The dialog reads the list of numbers, and the table where a number of the list stands.
    const needed = [one("#all-numbers"), document.getElementById(`table${id.split("-")[0]}`)];
    await Promise.all(needed.filter((box) => box.matches("details.folded")).map(build));
    ({ traces } = await unpack());
    const trace = traces.cells[id] ?? {};
    const { number, heading, labels, row } = titleOf(cell);
    const numbers = all(`#numbers tr[data-cell="${id}"]`).map((line) => {
      const [, , name, ours, paper, difference, test, p, verdict] = [...line.cells].map(words);
      return [name, ours, paper, difference, p === "–" ? verdict : `${verdict} (${test}, p = ${p})`];
    });
    one("h2", dialog).textContent = [`Table ${number}`, ...labels, heading].join(", ");
    one(".body", dialog).replaceChildren(
      ...(numbers.length
        ? [tableOf(["Number", "Ours", "Paper", "Difference", "Verdict"], numbers)]
        : []),
      make("h3", {}, "Ours"),
      ...(trace.group !== undefined ? runsOf(trace)
        : [linesOf(trace.lines ?? ["not run: the records hold no such score"])]),
      make("h3", {}, "The paper's"),
      linesOf(trace.paper ?? ["the paper prints nothing here"]),
      make("h3", {}, "On the command line"),
      linesOf([["repro explain", number, "--row", quoted(row), "--column", quoted(heading),
        block.dataset.options].filter(Boolean).join(" ")]),
    );
    dialog.showModal();
    one(".body", dialog).scrollTop = 0;
  }

  for (const box of all("dialog")) {
    one(".close", box).addEventListener("click", () => box.close());
    // A click beside the box falls on the dialog itself.
    box.addEventListener("click", (event) => event.target === box && box.close());
  }

  // Zoom: the drawing moves into the dialog, or an image of it goes there; the wheel and the keys
  // change the view box.
  const zoom = one("#zoom");
  const stage = one(".stage", zoom);
  let view = null;

  function show(box) {
    view.now = box;
    view.svg.setAttribute("viewBox", box.join(" "));
  }

  function scale(by, [fx, fy] = [0.5, 0.5]) {
    const [x, y, width, height] = view.now;
    const factor = Math.min(Math.max(by * width, view.whole[2] / 40), view.whole[2]) / width;
    show([x + fx * width * (1 - factor), y + fy * height * (1 - factor), width * factor, height * factor]);
  }

  function move(dx, dy) {
    const [x, y, width, height] = view.now;
    show([x + dx * width, y + dy * height, width, height]);
  }

  const SVG = "http://www.w3.org/2000/svg";

  function drawingOf(img) {
    const svg = document.createElementNS(SVG, "svg");
    const image = document.createElementNS(SVG, "image");
    const size = { width: img.naturalWidth, height: img.naturalHeight };
    svg.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", img.alt);
    for (const [name, value] of Object.entries({ ...size, href: img.src })) image.setAttribute(name, value);
    svg.append(image);
    return svg;
  }

  function enlarge(figure) {
    const img = one("img", figure);
    const svg = img ? drawingOf(img) : one("svg", figure);
    const whole = svg.getAttribute("viewBox").split(/[\s,]+/).map(Number);
    view = { svg, home: svg.parentNode, whole, now: whole };
    one("h2", zoom).textContent = words(one("figcaption p", figure));
    stage.append(svg);
    zoom.showModal();
  }

  zoom.addEventListener("close", () => {
    show(view.whole);
    if (view.home) view.home.append(view.svg);
    else view.svg.remove();
  });

  const STEP = 0.1;
  const KEYS = {
    "+": () => scale(1 / 1.4), "=": () => scale(1 / 1.4), "-": () => scale(1.4),
    0: () => show(view.whole),
    ArrowLeft: () => move(-STEP, 0), ArrowRight: () => move(STEP, 0),
    ArrowUp: () => move(0, -STEP), ArrowDown: () => move(0, STEP),
  };
  zoom.addEventListener("keydown", (event) => {
    const act = !event.ctrlKey && !event.metaKey && KEYS[event.key];
    if (!act) return;
    act();
    event.preventDefault();
  });

  const BUTTONS = { in: "+", out: "-", whole: "0" };
  for (const button of all("[data-zoom]", zoom)) {
    button.addEventListener("click", () => KEYS[BUTTONS[button.dataset.zoom]]());
  }

  stage.addEventListener("wheel", (event) => {
    const box = stage.getBoundingClientRect();
    scale(event.deltaY < 0 ? 1 / 1.2 : 1.2,
      [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height]);
    event.preventDefault();
  }, { passive: false });

  stage.addEventListener("pointermove", (event) => {
    if (!(event.buttons & 1)) return;
    const box = stage.getBoundingClientRect();
    move(-event.movementX / box.width, -event.movementY / box.height);
  });

  for (const figure of all("figure")) {
    const button = make("button", { type: "button", className: "enlarge" }, "Enlarge");
    button.addEventListener("click", () => enlarge(figure));
    one("figcaption", figure).append(button);
  }

  // A link to what is folded away unfolds it, and so does one to a section with one folded part.
  async function unfold() {
    const { hash } = location;
    const to = hash && document.getElementById(decodeURIComponent(hash.slice(1)));
    if (!to) return;
    const inside = all(":scope > details.folded", to);
    const inmost = inside.length === 1 ? inside[0] : to;
    for (let box = inmost; box; box = box.parentElement) {
      if (box instanceof HTMLDetailsElement) box.open = true;
    }
    // Before it is built, the page may be too short to bring its last section to the top.
    if (inmost.matches("details.folded")) await build(inmost);
    if (location.hash === hash) to.scrollIntoView();
  }
  addEventListener("hashchange", unfold);
  unfold();
})();
