"use strict";
// Draws the report from the JSON in #content; none of its text becomes markup.
(() => {
  const one = (id) => document.getElementById(id);
  const report = JSON.parse(one("content").textContent);
  const lines = LightweightCharts.LineStyle;

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  const trades = report.trades.map((row, number) => ({
    number, symbol: row[0], strategy: row[1], isLong: row[2], units: row[3], entry: row[4], entryPrice: row[5],
    exit: row[6], exitPrice: row[7], profit: row[8], change: row[9], reason: row[10] ?? "open", stop: row[11],
    target: row[12],
  }));

  // Text formatting.

  const amount = (value) => value.toLocaleString("en-US", {
    minimumFractionDigits: report.moneyDecimals, maximumFractionDigits: report.moneyDecimals,
  });
  const signed = (value) => (value > 0 ? "+" : "") + amount(value);
  const digits = (value, most) => value.toLocaleString("en-US", { maximumSignificantDigits: most, useGrouping: false });
  const percent = (value) => `${(value * 100).toFixed(2)} %`;
  const minute = (at) => (at === null ? "-" : new Date(at * 1000).toISOString().slice(0, 16).replace("T", " "));

  function length(seconds) {
    const units = [[604800, "w"], [86400, "d"], [3600, "h"], [60, "m"]];
    const [size, name] = units.find(([size]) => seconds >= size && seconds % size === 0) ?? [1, "s"];
    return `${seconds / size}${name}`;
  }

  function element(name, text, settings = {}) {
    const made = document.createElement(name);
    made.textContent = text;
    return Object.assign(made, settings);
  }

  // Chart style.

  function look() {
    const line = color("line");
    return {
      layout: {
        background: { color: color("card") }, textColor: color("dim"), fontSize: 12,
        panes: { separatorColor: line, separatorHoverColor: line },
      },
      grid: { vertLines: { color: line }, horzLines: { color: line } },
      rightPriceScale: { borderColor: line },
      timeScale: { borderColor: line, timeVisible: true, secondsVisible: false },
    };
  }

  function faded(name, share) {
    const [red, green, blue] = color(name).match(/[0-9a-f]{2}/gi).map((part) => parseInt(part, 16));
    return `rgba(${red}, ${green}, ${blue}, ${share})`;
  }

  const newChart = (id, settings) =>
    LightweightCharts.createChart(one(id), { autoSize: true, ...look(), crosshair: { mode: 0 }, ...settings });

  // Equity chart with the drawdown below.

  function drawEquity(onTime) {
    const { time, equity, drawdown } = report.equity;
    const chart = newChart("equity", { handleScroll: { vertTouchDrag: false } });
    const worth = chart.addSeries(LightweightCharts.BaselineSeries, {
      baseValue: { type: "price", price: report.startingBalance }, lineWidth: 2, priceLineVisible: false,
      priceFormat: { type: "custom", formatter: amount, minMove: 10 ** -report.moneyDecimals },
    });
    const fall = chart.addSeries(LightweightCharts.AreaSeries, {
      invertFilledArea: true, lineWidth: 1, priceLineVisible: false, priceFormat: { type: "custom", formatter: percent, minMove: 0.0001 },
    }, 1);
    const paint = () => {
      chart.applyOptions(look());
      worth.applyOptions({
        topLineColor: color("rise"), topFillColor1: faded("rise", 0.3), topFillColor2: faded("rise", 0.04),
        bottomLineColor: color("fall"), bottomFillColor1: faded("fall", 0.04), bottomFillColor2: faded("fall", 0.3),
      });
      fall.applyOptions({ lineColor: color("fall"), topColor: faded("fall", 0.08), bottomColor: faded("fall", 0.35) });
    };
    paint();
    dark.addEventListener("change", paint);
    worth.createPriceLine({ price: report.startingBalance, color: faded("dim", 0.6), lineStyle: lines.Dashed, axisLabelVisible: false });
    worth.setData(time.map((at, place) => ({ time: at, value: equity[place] })));
    fall.setData(time.map((at, place) => ({ time: at, value: drawdown[place] })));
    fall.priceScale().applyOptions({ scaleMargins: { top: 0, bottom: 0.12 } });
    chart.panes()[0].setStretchFactor(2.2);
    chart.panes()[1].setStretchFactor(1);
    chart.timeScale().applyOptions({ minBarSpacing: 0.01 });
    chart.timeScale().fitContent();
    const legend = (place) => {
      one("equity-legend").textContent =
        `${minute(time[place])} · equity ${amount(equity[place])} · drawdown ${percent(drawdown[place])}`;
    };
    legend(time.length - 1);
    chart.subscribeCrosshairMove((move) => legend(move.time === undefined ? time.length - 1 : Math.max(before(time, move.time), 0)));
    chart.subscribeClick((click) => click.time !== undefined && onTime(click.time));
  }

  // Candle chart: the page holds all candles and draws as many as fit the screen.

  async function unpacked(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Int32Array(await new Response(stream).arrayBuffer());
  }

  async function candlesOf(packed) {
    const steps = await unpacked(packed.packed);
    const count = packed.count;
    const [time, open, high, low, close] = Array.from({ length: 5 }, () => new Float64Array(count));
    const unit = 10 ** packed.decimals;
    let at = packed.start;
    let last = 0;
    for (let place = 0; place < count; place += 1) {
      at += steps[place];
      const first = last + steps[count + place];
      last = first + steps[2 * count + place];
      time[place] = at;
      open[place] = first / unit;
      close[place] = last / unit;
      high[place] = (Math.max(first, last) + steps[3 * count + place]) / unit;
      low[place] = (Math.min(first, last) - steps[4 * count + place]) / unit;
    }
    return { time, open, high, low, close, count };
  }

  // Index of the last ascending time that is not after `at`; -1 when all are after it.
  function before(times, at) {
    let low = 0;
    let high = times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (times[middle] <= at) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  // Bars of `seconds` from the candles in [from, to); bars of the finest length keep their candle's time.
  function barsOf(candles, from, to, seconds, finest) {
    const bars = [];
    let bar = null;
    for (let place = from; place < to; place += 1) {
      const at = candles.time[place];
      const time = seconds > finest ? Math.floor(at / seconds) * seconds : at;
      if (bar === null || bar.time !== time) {
        bar = { time, open: candles.open[place], high: candles.high[place], low: candles.low[place], close: candles.close[place] };
        bars.push(bar);
      } else {
        bar.high = Math.max(bar.high, candles.high[place]);
        bar.low = Math.min(bar.low, candles.low[place]);
        bar.close = candles.close[place];
      }
    }
    return bars;
  }

  const MOST_BOXES = 150;

  // Entries, exits, stops and targets, drawn over the candles.
  class TradeMarks {
    constructor(chart, series) {
      this.chart = chart;
      this.series = series;
      this.marks = [];
      this.selected = null;
      this.drawn = "";
    }

    attached({ requestUpdate }) { this.update = requestUpdate; }

    // Keeps the symbol's trades that lie within the loaded bars.
    place(mine, times, seconds) {
      const end = times[times.length - 1] + seconds;
      this.marks = mine
        .filter((trade) => trade.entry < end && (trade.exit ?? end) >= times[0])
        .map((trade) => ({ trade, from: before(times, trade.entry), to: trade.exit === null ? times.length - 1 : before(times, trade.exit) }));
      this.update?.();
    }

    paneViews() {
      return [{ zOrder: () => "top", renderer: () => ({ draw: (target) => target.useMediaCoordinateSpace((scope) => this.draw(scope.context)) }) }];
    }

    draw(context) {
      const range = this.chart.timeScale().getVisibleLogicalRange();
      if (range === null) return;
      const seen = this.marks.filter(({ from, to }) => to >= range.from - 1 && from <= range.to + 1);
      this.drawn = seen.length > MOST_BOXES ? "dots" : "boxes";
      this.seen = seen.length;
      const tints = { good: color("good"), bad: color("bad") };  // read once: it takes longer than drawing a dot
      for (const mark of seen) {
        if (this.drawn === "boxes") this.box(context, mark, tints);
        else this.dot(context, mark, tints);
      }
    }

    x(place) { return this.chart.timeScale().logicalToCoordinate(Math.max(place, 0)); }
    y(price) { return this.series.priceToCoordinate(price); }

    dot(context, { trade, to }, { good, bad }) {
      context.fillStyle = trade.profit > 0 ? good : bad;
      context.beginPath();
      context.arc(this.x(to), this.y(trade.exitPrice ?? trade.entryPrice), trade.number === this.selected ? 5 : 2.5, 0, 7);
      context.fill();
    }

    box(context, { trade, from, to }, { good, bad }) {
      const [left, right] = [this.x(from), Math.max(this.x(to), this.x(from) + 3)];
      const entry = this.y(trade.entryPrice);
      const level = (price, name) => {
        if (price === null) return;
        const y = this.y(price);
        context.fillStyle = faded(name, trade.number === this.selected ? 0.24 : 0.1);
        context.fillRect(left, Math.min(y, entry), right - left, Math.abs(y - entry));
        context.strokeStyle = faded(name, 0.8);
        context.setLineDash([4, 3]);
        stroke(context, left, y, right, y, 1);
        context.setLineDash([]);
      };
      level(trade.stop, "fall");
      level(trade.target, "rise");
      const outcome = trade.profit > 0 ? good : bad;
      if (trade.exitPrice !== null) {
        context.strokeStyle = outcome;
        stroke(context, left, entry, right, this.y(trade.exitPrice), trade.number === this.selected ? 3 : 1.5);
      }
      arrow(context, left, entry, trade.isLong ? 1 : -1, color("accent"));
      if (trade.exitPrice !== null) ring(context, right, this.y(trade.exitPrice), outcome);
    }
  }

  function stroke(context, x1, y1, x2, y2, width) {
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(x1, y1);
    context.lineTo(x2, y2);
    context.stroke();
  }

  // A triangle with its tip at the entry price, from below for long, from above for short.
  function arrow(context, x, y, side, fill) {
    context.fillStyle = fill;
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x - 5, y + 9 * side);
    context.lineTo(x + 5, y + 9 * side);
    context.closePath();
    context.fill();
  }

  function ring(context, x, y, tint) {
    context.fillStyle = color("card");
    context.strokeStyle = tint;
    context.lineWidth = 2;
    context.beginPath();
    context.arc(x, y, 3.5, 0, 7);
    context.fill();
    context.stroke();
  }

  const NICE = [60, 120, 300, 900, 1800, 3600, 7200, 14400, 28800, 86400, 259200, 604800, 2592000];

  class CandleChart {
    constructor() {
      this.chart = newChart("candles", { handleScroll: { vertTouchDrag: false } });
      this.series = this.chart.addSeries(LightweightCharts.CandlestickSeries, { priceLineVisible: false });
      this.marks = new TradeMarks(this.chart, this.series);
      this.series.attachPrimitive(this.marks);
      this.scale = this.chart.timeScale();
      this.scale.applyOptions({ minBarSpacing: 0.1, maxBarSpacing: 60, rightOffset: 2 });
      this.kept = new Map();
      this.bars = [];
      this.paint();
      dark.addEventListener("change", () => this.paint());
      this.scale.subscribeVisibleLogicalRangeChange(() => {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.follow(), 60);
      });
      this.chart.subscribeCrosshairMove((move) => this.legend(move.seriesData.get(this.series)));
    }

    paint() {
      this.chart.applyOptions(look());
      const [up, down] = [color("rise"), color("fall")];
      this.series.applyOptions({ upColor: up, borderUpColor: up, wickUpColor: up, downColor: down, borderDownColor: down, wickDownColor: down });
    }

    // Maximum number of bars for the width of the chart.
    most() { return Math.min(Math.max(one("candles").clientWidth / 3, 120), 600); }

    async show(symbol) {
      if (!this.kept.has(symbol)) this.kept.set(symbol, await candlesOf(report.symbols[symbol]));
      this.packed = report.symbols[symbol];
      this.candles = this.kept.get(symbol);
      this.mine = trades.filter((trade) => trade.symbol === symbol);
      const decimals = Math.max(this.packed.decimals, 2);
      this.series.applyOptions({ priceFormat: { type: "price", precision: decimals, minMove: 10 ** -decimals } });
      this.steps = [this.packed.seconds, ...NICE.filter((seconds) => seconds > this.packed.seconds)];
    }

    // The finest bar length with at most `most` bars between two indices.
    step(from, to) {
      const candles = Math.max(to - from, 1);
      const fits = (seconds) => (candles * this.packed.seconds) / seconds <= this.most();
      return this.steps.find(fits) ?? this.steps[this.steps.length - 1];
    }

    // Loads the candles between two indices, and as many again on either side.
    load(from, to, seconds = this.step(from, to)) {
      const margin = Math.max(to - from, 50);
      this.first = Math.max(from - margin, 0);
      this.last = Math.min(to + margin, this.candles.count);
      while (this.first > 0 && this.bucket(this.first - 1, seconds) === this.bucket(this.first, seconds)) this.first -= 1;
      this.seconds = seconds;
      this.bars = barsOf(this.candles, this.first, this.last, seconds, this.packed.seconds);
      this.times = this.bars.map((bar) => bar.time);
      this.series.setData(this.bars);
      this.marks.place(this.mine, this.times, seconds);
    }

    bucket(place, seconds) { return Math.floor(this.candles.time[place] / seconds); }

    // Shows the candles between two indices.
    window(from, to) {
      this.load(Math.max(Math.floor(from), 0), Math.min(Math.ceil(to), this.candles.count));
      const at = (place) => before(this.times, this.candles.time[Math.min(Math.max(Math.round(place), 0), this.candles.count - 1)]);
      this.scale.setVisibleLogicalRange({ from: at(from) - 0.5, to: at(to) + 1.5 });
      this.hint();
    }

    around(at, seconds) {
      const [from, to] = [before(this.candles.time, at - seconds / 2), before(this.candles.time, at + seconds / 2)];
      this.window(from, Math.max(to, from + 20));
    }

    // After a move: loads finer, coarser or neighbouring bars as needed.
    follow() {
      const range = this.scale.getVisibleLogicalRange();
      if (range === null || this.bars.length === 0) return;
      const end = this.bars.length - 1;
      const [left, right] = [Math.min(Math.max(Math.round(range.from), 0), end), Math.min(Math.max(Math.round(range.to), 0), end)];
      const seen = right - left;
      const [from, to] = [before(this.candles.time, this.times[left]), before(this.candles.time, this.times[right] + this.seconds - 1) + 1];
      const wanted = this.step(Math.max(from, 0), to);
      const isWrong = seen > this.most() * 1.1 || seen < this.most() / 8;
      const isAtEdge = (range.from < seen / 4 && this.first > 0) || (range.to > end - seen / 4 && this.last < this.candles.count);
      if (isWrong && wanted !== this.seconds) this.window(Math.max(from, 0), to - 1);
      else if (isAtEdge) this.extend(range, left, from, to);
      this.hint();
    }

    // Loads neighbouring bars without moving the visible range.
    extend(range, left, from, to) {
      const time = this.times[left];
      this.load(Math.max(from, 0), to, this.seconds);
      const shift = before(this.times, time) - left;
      this.scale.setVisibleLogicalRange({ from: range.from + shift, to: range.to + shift });
    }

    // Shows the values of a bar; by default of the last visible one.
    legend(bar) {
      const range = this.scale.getVisibleLogicalRange();
      bar ??= this.bars[Math.min(Math.max(Math.floor(range?.to ?? Infinity), 0), this.bars.length - 1)];
      if (!bar) return;
      const decimals = Math.max(this.packed.decimals, 2);
      const [open, high, low, close] = [bar.open, bar.high, bar.low, bar.close].map((price) => price.toFixed(decimals));
      one("candle-legend").textContent = `${minute(bar.time)} · open ${open} · high ${high} · low ${low} · close ${close}`;
    }

    hint() {
      this.legend();
      requestAnimationFrame(() => {
        const marks = this.marks.drawn === "dots"
          ? "dots are exits; zoom in to see entries, stops and targets"
          : "triangles are entries, rings are exits, dashed lines are stops and targets";
        const joined = this.packed.joined > 1 ? `; at least ${this.packed.joined} candles per bar` : "";
        one("candle-hint").textContent = `${length(this.seconds)} bars${joined}; ${marks}. Scroll or pinch to zoom, drag to move.`;
        document.documentElement.dataset.bars = this.bars.length;
        document.documentElement.dataset.marks = this.marks.seen ?? 0;
      });
    }
  }

  // Paged table of trades.

  const PAGE = 25;
  const COLUMNS = [
    ["#", (trade) => trade.number + 1],
    ["Symbol", (trade) => report.symbols[trade.symbol].symbol, "word"],
    ["Side", (trade) => (trade.isLong ? "long" : "short"), "word"],
    ["Units", (trade) => trade.units, "", (units) => digits(units, 8)],
    ["Entry time", (trade) => trade.entry, "", minute],
    ["Entry price", (trade) => trade.entryPrice, "", (price) => digits(price, 9)],
    ["Exit time", (trade) => trade.exit, "", minute],
    ["Exit price", (trade) => trade.exitPrice, "", (price) => (price === null ? "-" : digits(price, 9))],
    ["Profit", (trade) => trade.profit, "tone", signed],
    ["Return", (trade) => trade.change, "tone", percent],
    ["Exit reason", (trade) => trade.reason.replaceAll("_", " "), "word"],
    ["Strategy", (trade) => trade.strategy, "word"],
  ];

  class TradeTable {
    constructor(onTrade) {
      this.rows = [...trades].reverse();
      this.page = 0;
      this.onTrade = onTrade;
      const head = element("tr", "");
      COLUMNS.forEach(([title, value, kind], place) => {
        const cell = element("th", "", { scope: "col", className: kind === "word" ? "word" : "" });
        const button = element("button", title, { type: "button" });
        button.addEventListener("click", () => this.sort(cell, place, value));
        cell.append(button);
        head.append(cell);
      });
      one("trades").tHead.append(head);
      const left = report.leftOut ? `, ${report.leftOut.toLocaleString("en-US")} older ones are omitted` : "";
      one("trade-count").textContent = `${trades.length.toLocaleString("en-US")} trades${left}. Click a trade to show it on the chart.`;
      this.draw();
    }

    sort(cell, place, value) {
      const sign = turn(cell);
      this.rows.sort((a, b) => sign * compare(value(a), value(b)));
      this.page = 0;
      this.draw();
    }

    draw() {
      const shown = this.rows.slice(this.page * PAGE, (this.page + 1) * PAGE);
      one("trades").tBodies[0].replaceChildren(...shown.map((trade) => this.row(trade)));
      const pages = Math.max(Math.ceil(this.rows.length / PAGE), 1);
      const go = (text, page) => {
        const button = element("button", text, { type: "button", disabled: page < 0 || page >= pages || page === this.page });
        button.addEventListener("click", () => { this.page = page; this.draw(); });
        return button;
      };
      const where = element("span", `page ${this.page + 1} of ${pages}`);
      one("pages").replaceChildren(go("first", 0), go("previous", this.page - 1), where, go("next", this.page + 1), go("last", pages - 1));
    }

    row(trade) {
      const made = element("tr", "", { tabIndex: 0 });
      made.setAttribute("aria-selected", trade.number === this.selected);
      for (const [, value, kind, shown = String] of COLUMNS) {
        const found = value(trade);
        const tone = kind === "tone" && found ? (found > 0 ? "good" : "bad") : kind;
        made.append(element("td", shown(found), { className: tone ?? "" }));
      }
      const choose = () => { this.selected = trade.number; this.draw(); this.onTrade(trade); };
      made.addEventListener("click", choose);
      made.addEventListener("keydown", (event) => event.key === "Enter" && choose());
      return made;
    }
  }

  const compare = (a, b) => (a === b ? 0 : a === null || a === "" ? 1 : b === null || b === "" ? -1 : a < b ? -1 : 1);

  // Toggles the sort order of a column and returns its sign.
  function turn(cell) {
    const order = cell.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
    for (const other of cell.parentNode.cells) other.removeAttribute("aria-sort");
    cell.setAttribute("aria-sort", order);
    return order === "ascending" ? 1 : -1;
  }

  function makeSortable(table) {
    const body = table.tBodies[0];
    for (const cell of table.tHead.rows[0].cells) {
      cell.firstChild.addEventListener("click", () => {
        const sign = turn(cell);
        const value = (row) => {
          const text = row.cells[cell.cellIndex]?.dataset.value ?? "";
          return text === "" || Number.isNaN(Number(text)) ? text : Number(text);
        };
        body.append(...[...body.rows].sort((a, b) => sign * compare(value(a), value(b))));
      });
    }
  }

  // Page set-up.

  const SPANS = [["day", 86400], ["week", 604800], ["month", 2592000]];

  function press(buttons, chosen) {
    for (const button of buttons.children) button.setAttribute("aria-pressed", button === chosen);
  }

  async function start() {
    for (const table of document.querySelectorAll("table.sortable")) makeSortable(table);
    const candles = new CandleChart();
    let chosen = 0;

    const choose = async (symbol) => {
      await candles.show(symbol);
      chosen = symbol;
      press(one("symbols"), one("symbols").children[symbol]);
    };
    // Initial view: the last few trades, or the last candles when there are none.
    const first = () => {
      const last = candles.mine.slice(-8);
      const end = candles.candles.count - 1;
      const from = last.length ? before(candles.candles.time, Math.min(...last.map((trade) => trade.entry))) : end - 200;
      const to = last.length ? before(candles.candles.time, Math.max(...last.map((trade) => trade.exit ?? trade.entry))) : end;
      const margin = Math.max((to - from) * 0.04, 10);
      candles.window(Math.max(from - margin, 0), Math.min(to + margin, end));
    };
    const middle = () => {
      const range = candles.scale.getVisibleLogicalRange();
      const place = range === null ? 0 : Math.round((range.from + range.to) / 2);
      return candles.times[Math.min(Math.max(place, 0), candles.times.length - 1)];
    };

    if (report.symbols.length > 1) {
      report.symbols.forEach((packed, symbol) => {
        const button = element("button", packed.symbol, { type: "button" });
        button.addEventListener("click", async () => { await choose(symbol); first(); });
        one("symbols").append(button);
      });
    }
    const whole = element("button", "all", { type: "button" });
    whole.addEventListener("click", () => candles.window(0, candles.candles.count - 1));
    const spans = SPANS.map(([name, seconds]) => {
      const button = element("button", name, { type: "button" });
      button.addEventListener("click", () => candles.around(middle(), seconds));
      return button;
    });
    const last = element("button", "last trades", { type: "button" });
    last.addEventListener("click", first);
    one("spans").append(...spans, whole, last);

    drawEquity((at) => candles.around(at, 86400));
    new TradeTable(async (trade) => {
      if (trade.symbol !== chosen) await choose(trade.symbol);
      candles.marks.selected = trade.number;
      const held = (trade.exit ?? trade.entry) - trade.entry;
      candles.around(trade.entry + held / 2, Math.max(held * 3, candles.packed.seconds * 80));
      one("candle-card").scrollIntoView({ behavior: "smooth", block: "start" });
    });
    await choose(0);
    first();
    requestAnimationFrame(() => { document.documentElement.dataset.ready = "yes"; });
  }

  start().catch((error) => {
    one("trouble").hidden = false;
    one("trouble").textContent = `The charts cannot be drawn in this browser: ${error.message}`;
    throw error;
  });
})();
