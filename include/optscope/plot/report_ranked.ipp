// SPDX-License-Identifier: MIT
#pragma once
// The report's script, part of it: many units, sorted by their values within each layer.

#include <string_view>

namespace optscope::plot::detail {

inline constexpr std::string_view report_ranked_view = R"js(
// One map at a time. A row is a layer, its units sorted by value; a black line below it marks what was found.
const rankedView = ({note, unit, valueLabel, markLabel, noteLabel, layers, units, size, panels, notes, noteOf}) => {
  const canvas = element('canvas', {class: 'matrix', tabindex: 0, role: 'img'});
  const readout = element('output', {class: 'readout screen', 'aria-live': 'polite'});
  const box = element('div', {}, canvas, readout), scale = scaleOf([-size, size]);
  const left = 34, right = 170, top = 8, row = Math.min(layers < 4 ? 80 : 46, Math.max(12, 480 / layers));
  let panel = null, values = null, marked = null, orders = [], cell = null, width = 0;

  const inside = () => width - left - right;
  const at = ([layer, rank]) => layer * units + orders[layer][rank];
  const load = (title) => {
    panel = panels.find((one) => one.title === title);
    values = numbers(panel.values);
    marked = new Set(panel.marked);
    const known = (v) => Number.isNaN(v) ? -Infinity : v;
    orders = Array.from({length: layers}, (_, layer) => {
      const own = values.subarray(layer * units, (layer + 1) * units);
      return Array.from(own.keys()).sort((a, b) => known(own[b]) - known(own[a]));
    });
    canvas.setAttribute(
        'aria-label', `${panel.title}: ${layers} layers of ${units} ${unit}s, sorted by ${valueLabel}. ` +
            `Arrow keys move a cursor.`);
    tell();
  };

  const draw = () => {
    if (!width) return;
    const height = layers * row, context = prepare(canvas, width, top + height + 40), unitWidth = inside() / units;
    const image = element('canvas', {width: units, height: layers}), dots = new ImageData(units, layers);
    for (let layer = 0; layer < layers; ++layer)
      for (let rank = 0; rank < units; ++rank)
        dots.data.set([...scale.rgb(values[at([layer, rank])]), 255], 4 * (layer * units + rank));
    image.getContext('2d').putImageData(dots, 0, 0);
    context.imageSmoothingEnabled = false;
    context.textBaseline = 'middle';
    const band = Math.max(2, row * 0.14);
    for (let layer = 0; layer < layers; ++layer) {
      const y = top + layer * row;
      context.drawImage(image, 0, layer, units, 1, left, y, inside(), row - band - 2);
      context.fillStyle = '#1d1f23';
      let found = 0;
      for (let rank = 0; rank < units; ++rank) {
        if (!marked.has(at([layer, rank]))) continue;
        ++found;
        context.fillRect(left + rank * unitWidth, y + row - band - 1.5, unitWidth + 0.4, band);
      }
      context.fillStyle = '#5c616b';
      context.textAlign = 'right';
      context.fillText(String(layer), left - 8, y + row / 2);
      context.textAlign = 'left';
      context.fillText(`${found} ${markLabel}`, left + inside() + 8, y + row / 2);
    }
    context.fillStyle = '#5c616b';
    context.textAlign = 'center';
    for (const share of [0, 0.25, 0.5, 0.75, 1])
      context.fillText(
          String(Math.max(1, Math.round(share * units))), left + share * inside(), top + height + 10);
    context.fillText(`rank within the layer, largest ${valueLabel} first`, left + inside() / 2, top + height + 28);

    const barX = width - 62, barHeight = Math.min(height + 28, 240);
    for (let i = 0; i < barHeight; ++i) {
      context.fillStyle = scale.css(size - i / barHeight * 2 * size);
      context.fillRect(barX, top + i, 15, 1.5);
    }
    context.fillStyle = '#5c616b';
    context.textAlign = 'left';
    for (const v of ticks([-size, size], Math.min(6, barHeight / 20))) {
      const y = top + (size - v) / (2 * size) * barHeight;
      context.fillRect(barX + 15, y - 0.5, 4, 1);
      context.fillText(short(v), barX + 23, y);
    }
    if (!cell) return;
    frame(context, left + cell[1] * unitWidth - 2, top + cell[0] * row - 1, Math.max(1, unitWidth) + 4, row);
  };

  const tell = () => {
    draw();
    if (!cell) {
      readout.replaceChildren(element(
          'span', {class: 'muted'}, 'Point at a place, or focus the map and use the arrow keys, Home and End.'));
      return;
    }
    const i = at(cell), [layer, rank] = cell;
    const line = (name, ...what) =>
        element('div', {class: 'row'}, element('span', {class: 'muted'}, name), element('span', {}, ...what));
    readout.replaceChildren(
        line(unit, element('strong', {}, `layer ${layer}, ${unit} ${orders[layer][rank]}`), ` · rank ${rank + 1} of ${units}`),
        line(valueLabel, element('strong', {}, short(Number(values[i].toPrecision(3)))), ` · ${marked.has(i) ? '' : 'not '}${markLabel}`),
        ...(noteOf.length ? [line(noteLabel, element('code', {}, notes[noteOf[i]]))] : []));
  };

  canvas.addEventListener('keydown', (event) => {
    const [layer, rank] = cell || [0, -1], by = event.shiftKey ? Math.ceil(units / 50) : 1;
    const next = {
      ArrowLeft: [layer, rank - by],
      ArrowRight: [layer, rank + by],
      ArrowUp: [layer - 1, rank],
      ArrowDown: [layer + 1, rank],
      Home: [layer, 0],
      End: [layer, units - 1]
    }[event.key];
    if (event.key === 'Escape')
      cell = null;
    else if (next)
      cell = [Math.min(layers - 1, Math.max(0, next[0])), Math.min(units - 1, Math.max(0, next[1]))];
    else
      return;
    event.preventDefault();
    tell();
  });
  canvas.addEventListener('pointermove', (event) => {
    const zoom = width / canvas.getBoundingClientRect().width;
    const rank = Math.floor((event.offsetX * zoom - left) / inside() * units),
          layer = Math.floor((event.offsetY * zoom - top) / row);
    const there = rank >= 0 && rank < units && layer >= 0 && layer < layers;
    if (there ? cell?.[0] === layer && cell?.[1] === rank : !cell) return;
    cell = there ? [layer, rank] : null;
    tell();
  });
  canvas.addEventListener('pointerleave', () => {
    cell = null;
    tell();
  });

  load(panels[0].title);
  onWidth(box, (w) => {
    width = w;
    draw();
  });
  return [
    ...(note ? [element('p', {class: 'note'}, note)] : []),
    element('div', {class: 'controls'}, choice('Map', panels.map((one) => one.title), load)), box
  ];
};
)js";

}  // namespace optscope::plot::detail
