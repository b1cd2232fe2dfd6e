// SPDX-License-Identifier: MIT
#pragma once
// The report's script, part of it: maps of vectors, one at a time.

#include <string_view>

namespace optscope::plot::detail {

inline constexpr std::string_view report_points_view = R"js(
// One map at a time; a slider goes through them. The vectors of the text that is pointed at are ringed and joined.
const pointsView = ({note, axes, vectors, panels}) => {
  const count = vectors.length, dimensions = axes.length;
  const slider = element('input', {
    type: 'range',
    min: 0,
    max: panels.length - 1,
    value: 0,
    step: 1,
    id: 'map',
    disabled: panels.length < 2,
    oninput: () => {
      panel = Number(slider.value);
      show();
    }
  });
  const caption = element('label', {'for': 'map'}), quality = element('p', {class: 'note'});
  const canvas = element('canvas', {class: 'matrix', tabindex: 0, role: 'img'});
  const readout = element('output', {class: 'readout screen', 'aria-live': 'polite'});
  const box = element('div', {style: 'max-width: 760px'}, element('h3', {}, caption), slider, quality, canvas, readout);
  const categories = unique(texts.map((text) => text.category)), hidden = new Set();
  const hueOf = (category) => texts.find((text) => text.category === category).hue;
  const positions = unique(vectors.map(([, position]) => position)), last = Math.max(1, ...positions);
  let panel = panels.length - 1, across = 0, up = Math.min(1, dimensions - 1), chosen = -1, byPosition = false,
      width = 0, places = null;

  const at = (i, axis) => axis < dimensions ? numbers(panels[panel].values)[i * dimensions + axis] : 0;
  const seen = (i) => !hidden.has(texts[vectors[i][0]].category);
  const colourOf = (i) => byPosition ? `rgb(${viridis[Math.round(255 * vectors[i][1] / last)].join()})` : texts[vectors[i][0]].hue;

  const draw = () => {
    if (!width) return;
    const side = Math.min(width, 760), height = Math.round(side * 0.78), context = prepare(canvas, side, height);
    const left = 30, right = side - 8, top = 8, bottom = height - 28;
    const xs = [], ys = [];
    for (let i = 0; i < count; ++i) {
      xs.push(at(i, across));
      ys.push(dimensions > 1 ? at(i, up) : 0);
    }
    const [x0, x1] = finiteRange(xs), [y0, y1] = finiteRange(ys);
    const unit = Math.min((right - left - 24) / (x1 - x0), (bottom - top - 24) / (y1 - y0));  // of both axes
    const x = (v) => (left + right) / 2 + (v - (x0 + x1) / 2) * unit,
          y = (v) => (top + bottom) / 2 - (v - (y0 + y1) / 2) * unit;
    places = xs.map((v, i) => [x(v), y(ys[i])]);
    context.strokeStyle = '#d9dce1';
    context.strokeRect(left, top, right - left, bottom - top);
    context.fillStyle = '#5c616b';
    context.textAlign = 'center';
    context.fillText(axes[across], (left + right) / 2, height - 9);
    if (dimensions > 1) {
      context.save();
      context.translate(16, (top + bottom) / 2);
      context.rotate(-Math.PI / 2);
      context.fillText(axes[up], 0, 0);
      context.restore();
    }
    if (byPosition) {
      for (let i = 0; i < 100; ++i) {
        context.fillStyle = `rgb(${viridis[Math.round(255 * i / 99)].join()})`;
        context.fillRect(right - 130 + i, top + 8, 1.5, 8);
      }
      context.fillStyle = '#5c616b';
      context.textBaseline = 'middle';
      context.textAlign = 'right';
      context.fillText('position 0', right - 136, top + 12);
      context.textAlign = 'left';
      context.fillText(String(last), right - 24, top + 12);
      context.textBaseline = 'alphabetic';
    }
    const radius = count > 2000 ? 1.8 : count > 400 ? 2.6 : 4;
    const dot = (i, r, colour) => {
      context.beginPath();
      context.arc(places[i][0], places[i][1], r, 0, 2 * Math.PI);
      context.fillStyle = colour;
      context.fill();
    };
    context.globalAlpha = chosen < 0 ? 0.85 : 0.3;
    for (let i = 0; i < count; ++i)
      if (seen(i)) dot(i, radius, colourOf(i));
    context.globalAlpha = 1;
    if (chosen < 0) return;
    const same = vectors.map((_, i) => i).filter((i) => vectors[i][0] === vectors[chosen][0]);
    context.strokeStyle = '#5c616b80';
    context.lineWidth = 0.8;
    context.beginPath();
    same.forEach((i, k) => k ? context.lineTo(...places[i]) : context.moveTo(...places[i]));
    context.stroke();
    for (const i of same) dot(i, radius + 1, colourOf(i));
    dot(chosen, radius + 4.5, '#fff');
    dot(chosen, radius + 3, '#1d1f23');
    dot(chosen, radius + 0.5, colourOf(chosen));
  };

  const tell = () => {
    draw();
    if (chosen < 0) {
      readout.replaceChildren(element(
          'span', {class: 'muted'},
          'Point at a dot, or focus the map and use the arrow keys: left and right go through the vectors, up and down ' +
              'to another text. Page Up and Page Down go to another map.'));
      return;
    }
    const [text, position, token] = vectors[chosen], of = texts[text];
    const line = (name, ...what) =>
        element('div', {class: 'row'}, element('span', {class: 'muted'}, name), element('span', {}, ...what));
    readout.replaceChildren(
        line('text', chip(of.hue), `${of.category} · `, element('strong', {}, of.name), ` · ${of.firstWords}`),
        line('token', element('code', {}, token.replaceAll('\n', '↵').replaceAll('\t', '⇥')), ` · position ${position}`),
        line('place', axes.map((name, k) => `${name} ${short(at(chosen, k))}`).join(' · ')));
  };
  const show = () => {
    slider.value = panel;
    slider.setAttribute('aria-valuetext', panels[panel].title);
    caption.textContent = panels[panel].title;
    quality.textContent = panels[panel].note;
    canvas.setAttribute('aria-label', `${panels[panel].title}: a map of ${count} vectors. Arrow keys go through them.`);
    tell();
  };

  canvas.addEventListener('keydown', (event) => {
    const next = (i, by) => {
      do i += by;
      while (i >= 0 && i < count && !seen(i));
      return i >= 0 && i < count ? i : chosen;
    };
    const other = (by) => {
      if (chosen < 0) return next(-1, 1);
      let i = chosen;
      while (i >= 0 && i < count && (vectors[i][0] === vectors[chosen][0] || !seen(i))) i += by;
      return i >= 0 && i < count ? i : chosen;
    };
    if (event.key === 'PageUp' || event.key === 'PageDown')
      panel = Math.min(panels.length - 1, Math.max(0, panel + (event.key === 'PageUp' ? 1 : -1)));
    else if (event.key === 'ArrowRight')
      chosen = next(chosen, 1);
    else if (event.key === 'ArrowLeft')
      chosen = next(chosen < 0 ? count : chosen, -1);
    else if (event.key === 'ArrowUp' || event.key === 'ArrowDown')
      chosen = other(event.key === 'ArrowUp' ? -1 : 1);
    else if (event.key === 'Escape')
      chosen = -1;
    else
      return;
    event.preventDefault();
    show();
  });
  canvas.addEventListener('pointermove', (event) => {
    if (!places) return;
    const zoom = Math.min(width, 760) / canvas.getBoundingClientRect().width;
    let nearest = 20 ** 2, found = -1;
    places.forEach(([x, y], i) => {
      const distance = (x - event.offsetX * zoom) ** 2 + (y - event.offsetY * zoom) ** 2;
      if (distance < nearest && seen(i)) {
        nearest = distance;
        found = i;
      }
    });
    if (found === chosen) return;
    chosen = found;
    tell();
  });
  canvas.addEventListener('pointerleave', () => {
    chosen = -1;
    tell();
  });

  const pairs = [];
  for (let a = 0; a < dimensions; ++a)
    for (let b = a + 1; b < dimensions; ++b) pairs.push([`${a + 1} and ${b + 1}`, a, b]);
  const legend = element(
      'ul', {class: 'legend'},
      ...categories.map((category) => element(
                            'li', {},
                            element(
                                'label', {class: 'check'},
                                element('input', {
                                  type: 'checkbox',
                                  checked: true,
                                  onchange: (event) => {
                                    event.target.checked ? hidden.delete(category) : hidden.add(category);
                                    chosen = -1;
                                    tell();
                                  }
                                }),
                                chip(hueOf(category)), category))));
  show();
  onWidth(box, (w) => {
    width = w;
    draw();
  });
  return [
    ...(note ? [element('p', {class: 'note'}, note)] : []),
    element(
        'div', {class: 'controls'},
        choice(
            'Axes', pairs.map(([name]) => name),
            (name) => {
              [, across, up] = pairs.find(([one]) => one === name);
              tell();
            }),
        positions.length < 2 ? '' :
                               choice(
                                   'Colour', ['category', 'position'],
                                   (name) => {
                                     byPosition = name === 'position';
                                     tell();
                                   }),
        legend),
    box
  ];
};
)js";

}  // namespace optscope::plot::detail
