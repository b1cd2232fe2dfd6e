// SPDX-License-Identifier: MIT
#pragma once
// The report's script, third part: the views of the other sections, and the page put together.

#include <string_view>

namespace optscope::plot::detail {

inline constexpr std::string_view report_views = R"js(
const tableOf = (columns, rows) => {
  const numeric = columns.map((_, c) => rows.every((row) => row[c] !== '' && !Number.isNaN(Number(row[c]))));
  const kind = (value, c) => (numeric[c] ? {class: 'number'} : value.length > 40 ? {class: 'long'} : {});
  const cell = (tag, value, c) => element(tag, kind(value, c), value);
  const body = element('tbody');
  const fill = (sorted) =>
      body.replaceChildren(...sorted.map((row) => element('tr', {}, ...row.map((v, c) => cell('td', v, c)))));
  // Many rows: sorted by the column whose name is pressed, largest first, by what their cells begin with.
  const many = rows.length > 24, key = (row, c) => Number.isNaN(parseFloat(row[c])) ? -Infinity : parseFloat(row[c]);
  const head = (v, c) => !many ? cell('th', v, c) : element('th', kind(v, c), element('button', {
    type: 'button',
    onclick: () => fill([...rows].sort((a, b) => key(b, c) - key(a, c)))
  }, v));
  fill(rows);
  return element(
      'div', {class: many ? 'scroll tall' : 'scroll'},
      element('table', {}, element('thead', {}, element('tr', {}, ...columns.map(head))), body));
};

// Means within and between texts and categories: a chart per site and metric, with p as dots below and all values in a
// table.
const curvesView = ({layers, curves}) => {
  const names = [
    ['withinText', 'within a text', '#1b9e77'], ['withinCategory', 'within a category', '#d95f02'],
    ['between', 'between categories', '#7570b3']
  ];
  const box = element('div', {class: 'grid'});
  for (const curve of curves) {
    const used = names.filter(([key]) => curve[key].some((v) => v !== null)), tested = curve.labelings > 0;
    const series =
        used.map(([key, name, colour]) => ({name, colour, x: layers, y: curve[key].map((v) => v === null ? NaN : v)}));
    const same = curves.filter((other) => other.metric === curve.metric);
    const range = finiteRange(same.flatMap((other) => used.flatMap(([key]) => other[key].filter((v) => v !== null))));
    const room = (range[1] - range[0]) * 0.05, title = `${curve.site} · ${curve.metric}`;
    if (!used.length) {
      box.append(element(
          'div', {}, element('h3', {}, title),
          element('p', {class: 'note'}, 'One text at one position: there is no pair to compare.')));
      continue;
    }
    const chart = lineChart(`Similarity by layer, ${title}`, 280);
    chart.update({
      series,
      xLabel: 'layer',
      yLabel: `mean ${curve.metric}`,
      yRange: [range[0] - room, range[1] + room],
      marks: tested ? layers.map((x, i) => ({x, full: curve.p[i] !== null && curve.p[i] < 0.05})) : undefined,
      tell: (s, p) =>
          [`layer ${layers[p]}: `,
           ...series.map((one, i) => element(i === s ? 'strong' : 'span', {}, `${one.name} ${short(one.y[p])}; `)),
           tested ? `p = ${short(curve.p[p])}` : '', tested && curve.pMeans.length ? `, of means ${short(curve.pMeans[p])}` : '']
    });
    const percent = (v) => v === null ? 'none' : String(Math.round(100 * v));
    const moreAlike = (i) =>
        `${percent(curve.effect[i])} % (${percent(curve.effectLow[i])} to ${percent(curve.effectHigh[i])})`;
    const tests = !tested ? [] : [
      ['p', 'p'], ['pHolm', 'p by Holm'], ['pAlone', 'p of the layer alone'], ['pMeans', 'p of means'],
      ['effect', 'more alike (95 %)']
    ].filter(([key]) => curve[key].length);
    const rows = layers.map(
        (layer,
         i) => [String(layer), ...series.map((s) => short(s.y[i])), ...curve.each.map((one) => short(one.values[i])),
                ...tests.map(([key]) => key === 'effect' ? moreAlike(i) : short(curve[key][i]))]);
    const fold = element(
        'details', {class: 'fold'}, element('summary', {}, 'Values'),
        tableOf(
            ['layer', ...series.map((s) => s.name), ...curve.each.map((one) => `within ${one.name}`),
             ...tests.map(([, name]) => name)],
            rows));
    chart.box.insertBefore(legendOf(series), chart.readout);
    const test = !tested ?
        '' :
        element(
            'p', {class: 'note'},
            `p over ${curve.exact ? 'all' : 'a random sample of'} ${
                curve.labelings} assignments of categories to texts, for all layers, sites and metrics together; no p of so few texts can be below ${
                short(curve.smallest)}.`);
    const finding = curve.finding ? element('p', {}, curve.finding) : '';
    const parts = !curve.lowRank.length ?
        '' :
        element(
            'details', {class: 'fold'}, element('summary', {}, 'Diagonal plus low rank, layer by layer'),
            tableOf(
                ['layer', 'rank', 'what it is'],
                layers.map((layer, i) => [String(layer), String(curve.lowRank[i][0]), curve.lowRank[i][1]])));
    box.append(element('div', {}, element('h3', {}, title), chart.box, finding, test, fold, parts));
  }
  const dots = curves.some((curve) => curve.labelings > 0);
  return [
    ...(dots ?
            [element(
                'p', {class: 'note'},
                'Dots below a chart: ● the categories separate with p < 0.05 (permutation test over the texts), ' +
                    '○ they do not.')] :
            []),
    box
  ];
};

// One hidden dimension over the layers.
const streamsView = ({layers, positions, sites}) => {
  const chart = lineChart('One hidden dimension over the layers', 460);
  const note = element('p', {class: 'note'}), heading = element('h3'), list = element('div', {class: 'best'});
  const input = element('input', {type: 'number', id: 'dimension', min: 0, step: 1});
  const from = element(
      'select', {onchange: () => fill()}, element('option', {value: ''}, 'any layer'),
      ...layers.map((layer) => element('option', {value: layer}, `layer ${layer}`)));
  let site = sites[0], dimension = -1, zoomed = true;

  const show = () => {
    const index = site.kept.indexOf(dimension), lines = texts.length * positions.length;
    input.value = dimension;
    heading.textContent = `${site.site}, dimension ${dimension}`;
    for (const button of list.querySelectorAll('button'))
      button.setAttribute('aria-pressed', Number(button.value) === dimension);
    if (index < 0) {
      chart.update({series: [], xLabel: 'layer', yLabel: 'value', tell: () => []});
      chart.readout.textContent =
          `Dimension ${dimension} is not in this page${site.file ? `; ${site.file} has it` : ''}.`;
      return;
    }
    const values = numbers(site.values).subarray(index * layers.length * lines, (index + 1) * layers.length * lines);
    const series = texts.flatMap(
        (text, t) => positions.map((position, p) => ({
                                     colour: text.colour,
                                     x: layers,
                                     y: layers.map((_, l) => values[(l * texts.length + t) * positions.length + p])
                                   })));
    const sorted = Array.from(values).filter(Number.isFinite).sort((a, b) => a - b);
    const quantile = (share) => sorted[Math.round(share * (sorted.length - 1))];
    const spread = quantile(0.98) - quantile(0.02);
    const margin = spread > 0 ? spread * 0.05 : Math.abs(quantile(0.5)) * 0.5 + 1e-6;
    chart.update({
      series,
      xLabel: 'layer',
      yLabel: 'value',
      yRange: zoomed && sorted.length ? [quantile(0.02) - margin, quantile(0.98) + margin] : undefined,
      tell: (s, p) => {
        const text = texts[Math.floor(s / positions.length)];
        return [
          element('strong', {}, short(series[s].y[p])), ` at layer ${layers[p]} · `, chip(text.colour),
          `${text.category} · ${text.name} · position ${positions[s % positions.length]}`
        ];
      }
    });
  };
  // Fills the list with the best dimensions over all layers, or at the chosen one.
  const fill = () => {
    const shown = from.value === '' ? site.best : site.bestByLayer.filter(([, layer]) => layer === Number(from.value));
    list.replaceChildren(
        element(
            'div', {class: 'head'}, element('span', {}, 'dimension'), element('span', {}, 'layer'),
            element('span', {}, 'F')),
        ...shown.map(
            ([d, layer, f]) => element(
                'button', {
                  type: 'button',
                  class: site.level !== null && f !== null && f <= site.level ? 'chance' : '',
                  value: d,
                  onclick: () => {
                    dimension = d;
                    show();
                  },
                  'aria-label': `dimension ${d}, F ${short(f)} at layer ${layer}`
                },
                element('span', {}, String(d)), element('span', {}, String(layer)),
                element('span', {}, f === null ? 'none' : short(Number(f.toPrecision(3)))))));
    for (const button of list.querySelectorAll('button'))
      button.setAttribute('aria-pressed', Number(button.value) === dimension);
  };
  const load = (name) => {
    site = sites.find((one) => one.site === name);
    input.max = site.hidden - 1;
    fill();
    from.parentNode.hidden = !site.bestByLayer.length;
    list.parentNode.hidden = !site.best.length;
    // Keeps the dimension where it can, so that sites can be compared.
    if (!site.kept.includes(dimension)) dimension = site.best.length ? site.best[0][0] : site.kept[0];
    note.textContent = site.chance + (site.kept.length === site.hidden ?
        '' :
        ` This page has ${site.kept.length} of the ${
            site.hidden} dimensions, those that separate the categories best. ${
            site.file ? `${site.file} has all.` : ''}`);
    show();
  };
  input.addEventListener('change', () => {
    const asked = Math.round(Number(input.value));
    if (asked >= 0 && asked < site.hidden) dimension = asked;
    show();
  });
  const ranking = element(
      'div', {class: 'screen'}, element('span', {class: 'label'}, 'Dimensions with the largest F'),
      element('label', {class: 'check'}, 'at', from), list);
  const categories = unique(texts.map((text) => text.category));
  chart.box.insertBefore(
      element(
          'div', {},
          ...categories.map(
              (category) => element(
                  'ul', {class: 'legend'}, element('li', {}, element('strong', {}, category)),
                  ...texts.filter((text) => text.category === category)
                      .map(
                          (text) =>
                              element('li', {}, element('i', {style: `border-color: ${text.colour}`}), text.name))))),
      chart.readout);
  load(site.site);
  return [
    note,
    element(
        'div', {class: 'controls'}, choice('Site', sites.map((one) => one.site), load),
        element('div', {}, element('label', {class: 'label', 'for': 'dimension'}, 'Dimension'), input),
        choice(
            'Range', ['zoomed', 'whole'],
            (name) => {
              zoomed = name === 'zoomed';
              show();
            })),
    element('div', {class: 'two chart'}, element('div', {}, heading, chart.box), ranking)
  ];
};

const views = {
  facts: ({rows}) => [element(
      'dl', {class: 'facts'},
      ...rows.map(([name, value]) => element('div', {}, element('dt', {}, name), element('dd', {}, value))))],
  notes: ({paragraphs}) => paragraphs.map((paragraph) => element('p', {}, paragraph)),
  table: ({columns, rows}) => [tableOf(columns, rows)],
  texts: () => [element(
      'div', {class: 'scroll'},
      element(
          'table', {class: 'wide'},
          element(
              'thead', {},
              element(
                  'tr', {}, ...['Category', 'Text', 'First words'].map((v) => element('th', {}, v)),
                  element('th', {class: 'number'}, 'Tokens'))),
          element(
              'tbody', {},
              ...texts.map(
                  (text, i) => element(
                      'tr', {},
                      element('td', {}, ...(i && texts[i - 1].category === text.category ? [] : [text.category])),
                      element('td', {class: 'name'}, chip(text.colour), text.name),
                      element('td', {class: 'muted'}, text.firstWords),
                      element('td', {class: 'number'}, String(text.tokens)))))))],
  charts: ({note, panels, xLabel, yLabel, logX, logY}) =>
      [...(note ? [element('p', {class: 'note'}, note)] : []),
       element('div', {class: 'grid'}, ...panels.map((panel) => {
         const chart = lineChart(panel.title || yLabel, 340);
         const series =
             panel.series.map((s) => ({...s, x: s.x || [], y: (s.y || []).map((v) => v === null ? NaN : v)}));
         chart.update({
           series,
           xLabel,
           yLabel,
           logX,
           logY,
           yRange: panel.yRange,
           tell: (s, p) =>
               [element('strong', {}, short(series[s].y[p])),
                ` at ${xLabel} ${short(series[s].x[p])}${series[s].name ? ` · ${series[s].name}` : ''}`]
         });
         chart.box.insertBefore(legendOf(series), chart.readout);
         return element('div', {}, panel.title ? element('h3', {}, panel.title) : '', chart.box);
       }))],
  picture: ({note, source}) =>
      [...(note ? [element('p', {class: 'note'}, note)] : []),
       source ? element('img', {src: source, alt: note || '', style: 'max-width:100%'}) :
                element('p', {class: 'note'}, 'gnuplot could not draw this picture.')],
  matrices: matricesView,
  ranked: rankedView,
  points: pointsView,
  curves: curvesView,
  streams: streamsView,
};

const main = document.getElementById('page');
main.append(element(
    'header', {}, element('h1', {}, page.title), page.subtitle ? element('p', {}, page.subtitle) : '',
    element(
        'nav', {'aria-label': 'Sections'},
        ...page.sections.map(({heading}, i) => heading ? element('a', {href: `#section-${i}`}, heading) : ''))));
page.sections.forEach(
    (section, i) => main.append(element(
        'section', {id: `section-${i}`, class: section.heading ? section.kind : `${section.kind} goes-on`},
        section.heading ? element('h2', {}, section.heading) : '',
        ...views[section.kind](section))));
window.addEventListener('beforeprint', () => document.querySelectorAll('details').forEach((fold) => {
  fold.open = true;
}));
)js";

}  // namespace optscope::plot::detail
