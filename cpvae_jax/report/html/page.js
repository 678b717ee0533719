"use strict";

// The figures, the selected category, and what follows from it. Nothing is loaded from elsewhere.
(() => {
  const FAINT = 0.15; // opacity of points outside the selected category
  const PAPER = 640; // width of figures in print, in pixels
  const root = document.documentElement;
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const place = (name) => document.querySelector(`[data-figure="${name}"]`);
  const tabs = [...document.querySelectorAll(".tab")];
  const all = document.getElementById("all");
  const toPanel = document.getElementById("to-panel");
  const byLabel = document.getElementById("by-label");
  root.classList.remove("plain");

  const settings = {
    displaylogo: false,
    responsive: true,
    modeBarButtons: [["toImage"], ["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
  };
  for (const [name, figure] of Object.entries(figures)) {
    const displayModeBar = name === "codes" ? "hover" : false; // a drag zooms in all of them
    Plotly.newPlot(place(name), figure.data, figure.layout, { ...settings, displayModeBar });
  }

  // Of the map: all points, or those of the selected category.
  function highlight(k) {
    if (!all) return;
    const { category } = figures.codes.meta;
    const opacity = k === null ? 0.8 : category.map((c) => (c === k ? 0.9 : FAINT));
    Plotly.restyle(place("codes"), { "marker.opacity": [opacity] }, [0]);
    all.setAttribute("aria-pressed", String(k === null));
  }

  function show(k) {
    for (const tab of tabs) {
      const on = tab === tabs[k];
      tab.setAttribute("aria-selected", String(on));
      tab.tabIndex = on ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = !on;
    }
    const list = tabs[k].parentElement; // scroll the buttons, but not the page
    list.scrollTop = tabs[k].offsetTop - (list.clientHeight - tabs[k].offsetHeight) / 2;
    toPanel.textContent = `Samples of category ${k}`;
    toPanel.hidden = false;
    if (figures.density) {
      const tint = tabs[k].style.getPropertyValue("--tint");
      const change = { y: [figures.density.meta.categories[k]], "line.color": tint };
      Plotly.restyle(place("density"), change, [2]);
    }
    highlight(k);
  }

  const selected = () => tabs.findIndex((tab) => tab.getAttribute("aria-selected") === "true");
  const inAddress = () => {
    const found = /^#category=(\d+)$/.exec(location.hash);
    return found && Number(found[1]) < tabs.length ? Number(found[1]) : null;
  };
  function select(k) {
    const wanted = (k + tabs.length) % tabs.length;
    if (inAddress() === wanted) show(wanted);
    else location.hash = `category=${wanted}`; // so that "back" goes to the one before
  }
  function fromAddress() {
    const k = inAddress();
    if (k !== null) show(k);
  }

  if (tabs.length) {
    tabs.forEach((tab, k) => tab.addEventListener("click", () => select(k)));
    const list = tabs[0].parentElement;
    list.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const end = { Home: 0, End: tabs.length - 1 }[event.key];
      if (step === undefined && end === undefined) return;
      event.preventDefault();
      const k = end ?? (selected() + step + tabs.length) % tabs.length;
      select(k);
      tabs[k].focus();
    });
    document.getElementById("before").addEventListener("click", () => select(selected() - 1));
    document.getElementById("after").addEventListener("click", () => select(selected() + 1));
    place("shares").on("plotly_click", (event) => select(event.points[0].pointNumber));
    place("codes").on("plotly_click", (event) => {
      select(figures.codes.meta.category[event.points[0].pointNumber]);
    });
    all.addEventListener("click", () => {
      highlight(all.getAttribute("aria-pressed") === "true" ? selected() : null);
    });
    toPanel.addEventListener("click", () => {
      document.getElementById(`panel-${selected()}`).scrollIntoView({ block: "center" });
    });
    window.addEventListener("hashchange", fromAddress);
    fromAddress();
  }

  if (byLabel) {
    const ofCategory = figures.codes.data[0].marker.color;
    byLabel.addEventListener("click", () => {
      const on = byLabel.getAttribute("aria-pressed") !== "true";
      byLabel.setAttribute("aria-pressed", String(on));
      const colours = on ? figures.codes.meta.by_label : ofCategory;
      Plotly.restyle(place("codes"), { "marker.color": [colours] }, [0]);
    });
  }

  // A sample and its neighbour are marked together.
  for (const pair of document.querySelectorAll(".pair")) {
    const across = Number(pair.dataset.across);
    const down = Number(pair.dataset.down);
    const { rows, labels } = JSON.parse(pair.dataset.who);
    const cells = [...pair.querySelectorAll(".cells")];
    const words = pair.nextElementSibling;
    const before = words.textContent;
    const marks = cells.map((cell) => {
      const mark = document.createElement("span");
      mark.className = "mark";
      mark.hidden = true;
      cell.append(mark);
      return mark;
    });
    for (const cell of cells) {
      cell.addEventListener("mousemove", (event) => {
        const box = cell.getBoundingClientRect();
        const column = Math.min(across - 1, Math.floor((across * (event.clientX - box.left)) / box.width));
        const row = Math.min(down - 1, Math.floor((down * (event.clientY - box.top)) / box.height));
        const at = row * across + column;
        for (const mark of marks) {
          mark.hidden = false;
          mark.style.cssText =
            `left:${(100 * column) / across}%;top:${(100 * row) / down}%;` +
            `width:${100 / across}%;height:${100 / down}%`;
        }
        const label = labels[at] === null ? "" : `, label ${labels[at]}`;
        words.textContent = `Nearest to sample ${at + 1}: row ${rows[at]} of the training part${label}.`;
      });
      cell.addEventListener("mouseleave", () => {
        for (const mark of marks) mark.hidden = true;
        words.textContent = before;
      });
    }
  }

  // Print: figures as wide as the paper.
  const resize = (width) => {
    for (const name of Object.keys(figures)) Plotly.relayout(place(name), { width });
  };
  window.addEventListener("beforeprint", () => resize(PAPER));
  window.addEventListener("afterprint", () => resize(null));
})();
