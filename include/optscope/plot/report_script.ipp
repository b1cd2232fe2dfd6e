// SPDX-License-Identifier: MIT
#pragma once
// The report's script, first part: elements, arrays, colours and the line chart that several sections use.

#include <string_view>

namespace optscope::plot::detail {

inline constexpr std::string_view report_script = R"js(
// An element; strings among the children become text, never markup.
const element = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on'))
      node.addEventListener(name.slice(2), value);
    else if (value !== false && value !== undefined)
      node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children);
  return node;
};

const page = JSON.parse(document.getElementById('report').textContent);

// The number that the 16 bits of an IEEE half stand for.
const half = (h) => {
  const sign = h & 0x8000 ? -1 : 1, exponent = (h >> 10) & 31, fraction = (h & 1023) / 1024;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction) : 2 ** -14 * fraction);
};

// The numbers of an array in the page; decoded once, then kept.
const decoded = new Map();
const numbers = ({array, type, scale}) => {
  if (!decoded.has(array)) {
    const text = atob(document.getElementById(`array-${array}`).textContent);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; ++i) bytes[i] = text.charCodeAt(i);
    decoded.set(
        array,
        type === 'f32' ? new Float32Array(bytes.buffer) :
                         Float32Array.from(new Uint16Array(bytes.buffer), (h) => half(h) * scale));
  }
  return decoded.get(array);
};

const short = (v) => v === null || Number.isNaN(v)        ? 'none' :
    v !== 0 && (Math.abs(v) >= 1e5 || Math.abs(v) < 1e-3) ? v.toExponential(2) :
                                                            String(Number(v.toPrecision(4)));

// 256 colours between stops.
const shades = (stops) => Array.from({length: 256}, (_, i) => {
  const place = i / 255 * (stops.length - 1), below = Math.min(Math.floor(place), stops.length - 2);
  return stops[below].map((v, k) => Math.round(v + (stops[below + 1][k] - v) * (place - below)));
});
const viridis = shades(page.viridis), diverging = shades(page.diverging);

// How values in a range become colours: diverging with zero in the middle where they lie on both sides of it.
const scaleOf = ([low, high]) => {
  const largest = Math.max(Math.abs(low), Math.abs(high)), signed = low < -1e-5 * largest && high > 1e-5 * largest;
  const range = signed ? [-largest, largest] : [low, high], colours = signed ? diverging : viridis;
  const at = (v) => colours[Math.round(255 * Math.min(1, Math.max(0, (v - range[0]) / (range[1] - range[0]))))];
  return {
    range,
    line: signed ? '#444' : '#fff',
    rgb: (v) => Number.isFinite(v) ? at(v) : signed ? [181, 181, 181] : [255, 255, 255],
    css: (v) => `rgb(${at(v).join()})`
  };
};

const finiteRange = (values) => {
  let low = Infinity, high = -Infinity;
  for (const v of values)
    if (Number.isFinite(v)) {
      low = Math.min(low, v);
      high = Math.max(high, v);
    }
  if (low > high) return [0, 1];
  const room = low === high ? Math.abs(low) * 0.5 + 1e-6 : 0;  // on both sides of the only value
  return [low - room, high + room];
};

const superscripts = {
  '-': '⁻',
  0: '⁰',
  1: '¹',
  2: '²',
  3: '³',
  4: '⁴',
  5: '⁵',
  6: '⁶',
  7: '⁷',
  8: '⁸',
  9: '⁹'
};

// About `count` round numbers in the range.
const ticks = ([low, high], count) => {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((m) => m * power >= rough * 0.99) * power;
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; ++k)
    found.push(Number((k * step).toPrecision(12)));
  return found;
};

// Sizes a canvas in CSS pixels, with at least two dots per pixel so that it prints well; returns its context.
const prepare = (canvas, width, height) => {
  const ratio = Math.max(2, window.devicePixelRatio || 1);
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  const context = canvas.getContext('2d');
  context.scale(ratio, ratio);
  context.font = '12px system-ui, "DejaVu Sans", sans-serif';
  return context;
};

// A cursor that is seen on any colour.
const frame = (context, x, y, width, height) => {
  for (const [colour, line] of [['#fff', 5], ['#1d1f23', 2]]) {
    context.strokeStyle = colour;
    context.lineWidth = line;
    context.strokeRect(x, y, width, height);
  }
};

// Calls `draw(width)` now and whenever the width of `box` on the screen changes.
const onWidth = (box, draw) => {
  let known = 0;
  const look = () => {
    const width = Math.floor(box.clientWidth);
    if (width > 0 && width !== known && !window.matchMedia('print').matches) draw(known = width);
  };
  new ResizeObserver(() => requestAnimationFrame(look)).observe(box);
};

// Radio buttons in a row that call `change(name)`; nothing where there is nothing to choose.
let choices = 0;
const choice = (label, names, change) => {
  if (names.length < 2) return '';
  const group = `choice-${++choices}`;
  return element(
      'fieldset', {}, element('legend', {}, label),
      element(
          'span', {class: 'choice'},
          ...names.map(
              (name, i) => element(
                  'label', {},
                  element(
                      'input',
                      {type: 'radio', name: group, value: name, checked: i === 0, onchange: () => change(name)}),
                  name))));
};

// A line chart with a cursor. Hover picks the nearest point; with the keyboard, left and right go along x, up and down
// from line to line. update({series: [{name, colour, dashed, thin, x, y, low, high}], xLabel, yLabel, logX, logY, yRange,
// marks: [{x, full}], tell(series, point): nodes for the readout}).
const lineChart = (label, height) => {
  const canvas = element('canvas', {tabindex: 0, role: 'img', 'aria-label': `${label}. Arrow keys move a cursor.`});
  const readout = element('output', {class: 'readout short screen', 'aria-live': 'polite'});
  const box = element('div', {}, canvas, readout);
  let chart = null, cursor = null, width = 0, place = null;

  const draw = () => {
    if (!chart || !width) return;
    const context = prepare(canvas, width, height), {series, logX, logY} = chart;
    const left = 58, right = width - 14, top = 10, bottom = height - (chart.marks ? 58 : 42);
    const usable = (v, log) => Number.isFinite(v) && v !== null && (!log || v > 0);
    const all = (names, log) =>
        series.flatMap((s) => names.flatMap((n) => Array.from(s[n] || []))).filter((v) => usable(v, log));
    const whole = series.every((s) => Array.from(s.x).every(Number.isInteger));
    let rangeX = finiteRange(all(['x'], logX));
    const places = [...new Set(all(['x'], logX))], single = places.length === 1 && whole && !logX;
    if (single) rangeX = [places[0] - 1, places[0] + 1];
    const rangeY = [...(chart.yRange || finiteRange(all(['y', 'low', 'high'], logY)))];
    if (!chart.yRange) {  // a little air
      const room = logY ? (rangeY[1] / rangeY[0]) ** 0.04 : (rangeY[1] - rangeY[0]) * 0.04;
      rangeY[0] = logY ? rangeY[0] / room : rangeY[0] - room;
      rangeY[1] = logY ? rangeY[1] * room : rangeY[1] + room;
    }
    const scale = ([low, high], from, to, log) => log ?
        (v) => from + (Math.log(v) - Math.log(low)) / (Math.log(high) - Math.log(low)) * (to - from) :
        (v) => from + (v - low) / (high - low) * (to - from);
    const x = scale(rangeX, left, right, logX), y = scale(rangeY, bottom, top, logY);
    place = {x, y};

    const decades = ([low, high]) =>
        ticks([Math.log10(low), Math.log10(high)], 5).filter(Number.isInteger).map((k) => 10 ** k);
    const named = (v, log) =>
        log ? `10${[...String(Math.round(Math.log10(v)))].map((c) => superscripts[c]).join('')}` : short(v);
    // Horizontal grid with the values of y, then those of x, then labels and axes.
    context.strokeStyle = '#e4e6ea';
    context.fillStyle = '#5c616b';
    context.textAlign = 'right';
    context.textBaseline = 'middle';
    for (const v of logY ? decades(rangeY) : ticks(rangeY, 6)) {
      context.beginPath();
      context.moveTo(left, y(v));
      context.lineTo(right, y(v));
      context.stroke();
      context.fillText(named(v, logY), left - 8, y(v));
    }
    context.textAlign = 'center';
    for (const v of (single ? places : logX ? decades(rangeX) : ticks(rangeX, Math.min(12, width / 50)))
             .filter((t) => !whole || logX || Number.isInteger(t))) {
      context.fillText(named(v, logX), x(v), height - 28);
      context.beginPath();
      context.moveTo(x(v), bottom);
      context.lineTo(x(v), bottom + 4);
      context.stroke();
    }
    context.fillStyle = '#1d1f23';
    context.fillText(chart.xLabel, (left + right) / 2, height - 9);
    context.save();
    context.translate(11, (top + bottom) / 2);
    context.rotate(-Math.PI / 2);
    context.fillText(chart.yLabel, 0, 0);
    context.restore();
    context.strokeStyle = '#8b9099';
    context.beginPath();
    context.moveTo(left, top);
    context.lineTo(left, bottom);
    context.lineTo(right, bottom);
    context.stroke();
    for (const mark of chart.marks || []) {
      context.beginPath();
      context.arc(x(mark.x), bottom + 14, 3.5, 0, 2 * Math.PI);
      context.fillStyle = context.strokeStyle = '#5c616b';
      if (mark.full)
        context.fill();
      else
        context.stroke();
    }

    // Bands, then lines with the chosen one on top, clipped to the chart.
    context.save();
    context.beginPath();
    context.rect(left, top - 4, right - left + 4, bottom - top + 8);
    context.clip();
    context.lineJoin = 'round';
    const trace = (s, name) => {
      let open = false;
      for (let i = 0; i < s.x.length; ++i) {
        if (!usable(s[name][i], logY) || !usable(s.x[i], logX)) {
          open = false;
          continue;
        }
        if (open)
          context.lineTo(x(s.x[i]), y(s[name][i]));
        else
          context.moveTo(x(s.x[i]), y(s[name][i]));
        open = true;
      }
    };
    // Points that no line reaches.
    const dots = (s) => {
      const there = (i) => usable(s.y[i], logY) && usable(s.x[i], logX);
      context.fillStyle = s.colour;
      for (let i = 0; i < s.x.length; ++i) {
        if (!there(i) || there(i - 1) || there(i + 1)) continue;
        context.beginPath();
        context.arc(x(s.x[i]), y(s.y[i]), s.thin ? 2 : 3.5, 0, 2 * Math.PI);
        context.fill();
      }
    };
    for (const s of series.filter((s) => s.low && s.high)) {
      context.beginPath();
      s.x.forEach((v, i) => i ? context.lineTo(x(v), y(s.high[i])) : context.moveTo(x(v), y(s.high[i])));
      for (let i = s.x.length - 1; i >= 0; --i) context.lineTo(x(s.x[i]), y(s.low[i]));
      context.globalAlpha = 0.15;
      context.fillStyle = s.colour;
      context.fill();
      context.globalAlpha = 1;
    }
    const many = series.length > 20;
    const order = series.map((_, i) => i).sort((a, b) => (cursor && a === cursor.s) - (cursor && b === cursor.s));
    for (const i of order) {
      const chosen = cursor && cursor.s === i;
      context.globalAlpha = !cursor || chosen || !many ? 1 : 0.3;
      context.lineWidth = chosen ? 3 : series[i].thin ? 0.6 : many ? 1.1 : 2;
      context.setLineDash(series[i].dashed ? [6, 4] : []);
      context.strokeStyle = series[i].colour;
      context.beginPath();
      trace(series[i], 'y');
      context.stroke();
      dots(series[i]);
    }
    context.restore();
    if (!series.some((s) => Array.from(s.x).some((_, i) => usable(s.x[i], logX) && usable(s.y[i], logY)))) {
      context.fillStyle = '#5c616b';
      context.textAlign = 'center';
      context.fillText('no value to draw', (left + right) / 2, (top + bottom) / 2);
    }
    if (cursor && usable(series[cursor.s].y[cursor.p], logY)) {
      const s = series[cursor.s];
      context.beginPath();
      context.arc(x(s.x[cursor.p]), y(s.y[cursor.p]), 5, 0, 2 * Math.PI);
      context.fillStyle = s.colour;
      context.fill();
      context.strokeStyle = '#fff';
      context.lineWidth = 2;
      context.stroke();
    }
  };

  const tell = () => {
    draw();
    readout.replaceChildren(...(
        cursor ? chart.tell(cursor.s, cursor.p) :
                 [element('span', {class: 'muted'}, 'Point at a line, or focus the chart and use the arrow keys.')]));
  };
  canvas.addEventListener('pointermove', (event) => {
    if (!place) return;
    const zoom = width / canvas.getBoundingClientRect().width;
    let nearest = 40 ** 2, found = null;
    chart.series.forEach((s, i) => s.x.forEach((v, p) => {
      const distance = (place.x(v) - event.offsetX * zoom) ** 2 + (place.y(s.y[p]) - event.offsetY * zoom) ** 2;
      if (distance < nearest) {
        nearest = distance;
        found = {s: i, p};
      }
    }));
    if (found?.s !== cursor?.s || found?.p !== cursor?.p) {
      cursor = found;
      tell();
    }
  });
  canvas.addEventListener('pointerleave', () => {
    cursor = null;
    tell();
  });
  canvas.addEventListener('blur', () => {
    cursor = null;
    tell();
  });
  canvas.addEventListener('keydown', (event) => {
    if (!chart?.series.length) return;
    const {s, p} = cursor || {s: 0, p: -1}, last = chart.series[s].x.length - 1;
    const sorted = chart.series.map((_, i) => i)
                       .sort((a, b) => chart.series[a].y[Math.max(p, 0)] - chart.series[b].y[Math.max(p, 0)]);
    const step = (by) => sorted[Math.min(sorted.length - 1, Math.max(0, sorted.indexOf(s) + by))];
    const next = {
      ArrowRight: [s, Math.min(last, p + 1)],
      ArrowLeft: [s, Math.max(0, p - 1)],
      Home: [s, 0],
      End: [s, last],
      ArrowUp: [step(1), Math.max(p, 0)],
      ArrowDown: [step(-1), Math.max(p, 0)]
    }[event.key];
    if (event.key === 'Escape')
      cursor = null;
    else if (next)
      cursor = {s: next[0], p: next[1]};
    else
      return;
    event.preventDefault();
    tell();
  });
  onWidth(box, (w) => {
    width = w;
    draw();
  });
  return {
    box,
    canvas,
    readout,
    update: (next) => {
      chart = next;
      cursor = null;
      tell();
    }
  };
};

const legendOf = (series) => element(
    'ul', {class: 'legend'},
    ...series.filter((s) => s.name)
        .map(
            (s) => element(
                'li', {},
                element('i', {style: `border-color: ${s.colour}; border-top-style: ${s.dashed ? 'dashed' : 'solid'}`}),
                s.name)));
)js";

}  // namespace optscope::plot::detail
