// SPDX-License-Identifier: MIT
#pragma once
// The report's script, second part: the matrices of all layers, one of them large.

#include <string_view>

namespace optscope::plot::detail {

inline constexpr std::string_view report_matrices_view = R"js(
const texts = page.sections.find((section) => section.kind === 'texts')?.texts || [];
const unique = (values) => [...new Set(values)];
const chip = (colour) => element('span', {class: 'chip', style: `background: ${colour}`});
// Consecutive equal names as [{name, from, to}], `to` being one past the last.
const runs = (names) => names.reduce((found, name, i) => {
  if (found.length && found.at(-1).name === name)
    found.at(-1).to = i + 1;
  else
    found.push({name, from: i, to: i + 1});
  return found;
}, []);

// Small matrices of all layers; the chosen one large, with a cursor that says what it compares. Where `names` are given,
// they are of `what`, such as heads, in an order of each list of matrices: those from `chance` on are shown pale.
const matricesView = (data) => {
  const {layers, sets, matrices, what = 'layer', note} = data;
  const options = (key) => unique(matrices.map((m) => m[key]));
  const chosen = {site: options('site')[0], metric: options('metric')[0], set: options('set')[0]};
  let layer = 0, cell = null, perLayer = false, size = 0, columns = 0, square = true, names = layers.map((n) => `layer ${n}`),
      values = null, vectors = [], range = [0, 1], side = 0, origin = [0, 0];

  const slider = element('input', {
    type: 'range',
    min: 0,
    max: layers.length - 1,
    value: 0,
    step: 1,
    id: 'layer',
    disabled: layers.length < 2,
    oninput: () => {
      layer = Number(slider.value);
      show();
    }
  });
  const caption = element('label', {'for': 'layer'});
  const canvas = element('canvas', {class: 'matrix', tabindex: 0, role: 'img'});
  const readout = element('output', {class: 'readout screen', 'aria-live': 'polite'});
  const large = element('div', {class: 'large'}, element('h3', {}, caption), slider, canvas, readout);
  const thumbs = layers.map(
      (_, i) => element(
          'button', {
            type: 'button',
            onclick: () => {
              layer = i;
              show();
            }
          },
          element('canvas', {width: 1, height: 1, 'aria-hidden': 'true'}), element('span', {}, names[i])));
  const small = element('div', {class: 'layers'}, ...thumbs);
  small.style.setProperty('--thumb', layers.length > 24 ? '84px' : layers.length > 12 ? '108px' : '140px');

  const slice = (i) => values.subarray(i * size * columns, (i + 1) * size * columns);
  // Paints matrix `i` with one dot per value; returns the scale of its colours.
  const paint = (target, i) => {
    const scale = scaleOf(perLayer ? finiteRange(slice(i)) : range), image = new ImageData(columns, size);
    slice(i).forEach((v, k) => image.data.set([...scale.rgb(v), 255], 4 * k));
    target.width = columns;
    target.height = size;
    target.getContext('2d').putImageData(image, 0, 0);
    return scale;
  };

  let width = 0;
  const draw = () => {
    if (!values || !width) return;
    const left = 34, bar = 84;
    side = Math.min(width - left - bar, 520);
    origin = [left, 8];
    const height = side + 42, context = prepare(canvas, left + side + bar, height), [x0, y0] = origin,
          unit = side / size, across = side / columns;
    const image = element('canvas'), scale = paint(image, layer), [low, high] = scale.range;
    context.imageSmoothingEnabled = false;
    context.drawImage(image, x0, y0, side, side);

    const line = (at, colour, thick) => {
      context.strokeStyle = colour;
      context.lineWidth = thick;
      context.beginPath();
      if (square) {
        context.moveTo(x0 + at, y0);
        context.lineTo(x0 + at, y0 + side);
      }
      context.moveTo(x0, y0 + at);
      context.lineTo(x0 + side, y0 + at);
      context.stroke();
    };
    const ofText = runs(vectors.map(([text]) => text)),
          ofCategory = runs(vectors.map(([text]) => texts[text]?.category || ''));
    if (ofText.length < size)
      for (const run of ofText.slice(1)) line(run.from * unit, `${scale.line}4`, 0.7);
    for (const run of ofCategory.slice(1)) line(run.from * unit, scale.line, 1.6);
    for (const run of ofText) {
      context.fillStyle = texts[run.name]?.colour || '#999';
      context.fillRect(x0 - 9, y0 + run.from * unit, 5, (run.to - run.from) * unit - 0.5);
      if (square) context.fillRect(x0 + run.from * unit, y0 + side + 4, (run.to - run.from) * unit - 0.5, 5);
    }
    context.fillStyle = '#1d1f23';
    context.font = '13px system-ui, "DejaVu Sans", sans-serif';
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    for (const run of ofCategory) {
      const middle = (run.from + run.to) / 2 * unit, room = (run.to - run.from) * unit;
      let name = run.name;
      while (name.length > 1 && context.measureText(name).width > room) name = `${[...name].slice(0, -2).join('')}…`;
      if (square) context.fillText(name, x0 + middle, y0 + side + 21);
      context.save();
      context.translate(x0 - 20, y0 + middle);
      context.rotate(-Math.PI / 2);
      context.fillText(name, 0, 0);
      context.restore();
    }

    if (!square) context.fillText(`${columns} dimensions`, x0 + side / 2, y0 + side + 21);

    const barX = x0 + side + 18;
    for (let i = 0; i < side; ++i) {
      context.fillStyle = scale.css(high - i / side * (high - low));
      context.fillRect(barX, y0 + i, 15, 1.5);
    }
    context.fillStyle = '#5c616b';
    context.font = '12px system-ui, "DejaVu Sans", sans-serif';
    context.textAlign = 'left';
    for (const v of ticks([low, high], 8)) {
      const y = y0 + (1 - (v - low) / (high - low)) * side;
      context.fillRect(barX + 15, y - 0.5, 4, 1);
      context.fillText(short(v), barX + 23, y);
    }
    if (!cell) return;
    const [row, column] = cell;
    context.lineWidth = 1;
    context.strokeStyle = scale.line;
    context.strokeRect(x0, y0 + row * unit, side, unit);
    context.strokeRect(x0 + column * across, y0, across, side);
    frame(context, x0 + column * across - 1.5, y0 + row * unit - 1.5, across + 3, unit + 3);
  };

  const nameOf = (index) => {
    const [text, position, token] = vectors[index] || [0, index, ''],
                           of = texts[text] || {category: '', name: `text ${text}`, colour: '#999'};
    return element(
        'span', {}, chip(of.colour), `${of.category} · ${of.name} · position ${position} `,
        ...(token === '' ? [] : [element('code', {}, token.replaceAll('\n', '↵').replaceAll('\t', '⇥'))]));
  };
  const tell = () => {
    draw();
    readout.replaceChildren(
        ...(cell ?
                [
                  element(
                      'div', {class: 'row'}, element('span', {class: 'muted'}, 'value'),
                      element('strong', {}, short(slice(layer)[cell[0] * columns + cell[1]]))),
                  element('div', {class: 'row'}, element('span', {class: 'muted'}, 'row'), nameOf(cell[0])),
                  element('div', {class: 'row'}, element('span', {class: 'muted'}, 'column'),
                      square ? nameOf(cell[1]) : element('span', {}, `dimension ${cell[1]}`))
                ] :
                [element(
                    'span', {class: 'muted'},
                    'Point at a cell, or focus the matrix and use the arrow keys. Page Up and Page Down ' +
                        `change the ${what}.`)]));
  };
  // After the layer has changed.
  const show = () => {
    slider.value = layer;
    slider.setAttribute('aria-valuetext', names[layer]);
    caption.textContent =
        `${names[layer][0].toUpperCase()}${names[layer].slice(1)} · ${chosen.site} · ${chosen.metric}`;
    canvas.setAttribute(
        'aria-label',
        `${caption.textContent}, ${chosen.set}: ${size} by ${columns} values. Arrow keys move a cursor.`);
    thumbs.forEach((thumb, i) => {
      thumb.setAttribute('aria-pressed', i === layer);
      thumb.tabIndex = i === layer ? 0 : -1;
    });
    tell();
  };
  // After the choice of matrices or colours has changed.
  const load = () => {
    const found = matrices.find((m) => m.site === chosen.site && m.metric === chosen.metric && m.set === chosen.set);
    values = found ? numbers(found.values) : null;
    if (!found) {
      readout.textContent = 'Not computed.';
      return;
    }
    if (found.size !== size || !found.dimensions !== square) cell = null;
    size = found.size;
    columns = found.columns || size;
    square = !found.dimensions;
    if (found.names) {
      layer = Math.max(0, found.names.indexOf(names[layer]));  // the same, wherever it is
      names = found.names;
    }
    vectors = sets.find((set) => set.name === chosen.set)?.vectors || [];
    range = finiteRange(values);
    thumbs.forEach((thumb, i) => {
      paint(thumb.firstChild, i);
      thumb.lastChild.textContent = found.notes ? `${names[i]} · ${found.notes[i]}` : names[i];
      thumb.classList.toggle('chance', found.chance !== undefined && i >= found.chance);
      thumb.setAttribute('aria-label', `${thumb.lastChild.textContent}, ${chosen.site}, ${chosen.metric}`);
    });
    show();
  };

  const moved = (event, at, count, across) => {
    const by = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across}[event.key];
    const to = event.key === 'Home' ? 0 : event.key === 'End' ? count - 1 : by === undefined ? -1 : at + by;
    return to >= 0 && to < count ? to : -1;
  };
  small.addEventListener('keydown', (event) => {
    const across = thumbs.filter((thumb) => thumb.offsetTop === thumbs[0].offsetTop).length,
          to = moved(event, layer, layers.length, across);
    if (to < 0) return;
    event.preventDefault();
    layer = to;
    show();
    thumbs[to].focus();
  });
  canvas.addEventListener('keydown', (event) => {
    if (event.key === 'PageUp' || event.key === 'PageDown') {
      layer = Math.min(layers.length - 1, Math.max(0, layer + (event.key === 'PageUp' ? 1 : -1)));
      show();
    } else if (event.key === 'Escape') {
      cell = null;
      tell();
    } else {
      const by = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]}[event.key];
      if (!by) return;
      const clamp = (v, end) => Math.min(end - 1, Math.max(0, v));
      cell = cell ? [clamp(cell[0] + by[0], size), clamp(cell[1] + by[1], columns)] : [0, 0];
      tell();
    }
    event.preventDefault();
  });
  canvas.addEventListener('pointermove', (event) => {
    const zoom = (origin[0] + side + 84) / canvas.getBoundingClientRect().width, unit = side / size;
    const column = Math.floor((event.offsetX * zoom - origin[0]) / (side / columns)),
          row = Math.floor((event.offsetY * zoom - origin[1]) / unit);
    const inside = row >= 0 && column >= 0 && row < size && column < columns;
    if (inside ? cell?.[0] === row && cell?.[1] === column : !cell) return;
    cell = inside ? [row, column] : null;
    tell();
  });
  canvas.addEventListener('pointerleave', () => {
    cell = null;
    tell();
  });

  const pick = (key) => (name) => {
    chosen[key] = name;
    load();
  };
  const check = element('input', {
    type: 'checkbox',
    onchange: () => {
      perLayer = check.checked;
      load();
    }
  });
  layer = data.what ? 0 : Math.floor((layers.length - 1) / 2);
  load();
  onWidth(large, (w) => {
    width = w;
    draw();
  });
  return [
    ...(note ? [element('p', {class: 'note'}, note)] : []),
    element(
        'div', {class: 'controls'}, choice('Site', options('site'), pick('site')),
        choice('Metric', options('metric'), pick('metric')), choice('Vectors', options('set'), pick('set')),
        element('label', {class: 'check'}, check, `one colour range per ${what}`)),
    element('div', {class: 'two'}, small, large)
  ];
};
)js";

}  // namespace optscope::plot::detail
