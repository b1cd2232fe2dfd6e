// SPDX-License-Identifier: MIT
#pragma once
// The report's style sheet: screen from about 400 px, and print.

#include <string_view>

namespace optscope::plot::detail {

inline constexpr std::string_view report_style = R"css(
:root { --ink: #1d1f23; --muted: #5c616b; --line: #d9dce1; --pale: #f5f6f8; --accent: #c2410c; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: #fff; font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto,
  "Helvetica Neue", "DejaVu Sans", sans-serif; }
main { max-width: 1216px; margin: 0 auto; padding: 28px 32px 64px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { font-size: 20px; line-height: 1.3; margin: 0 0 14px; }
h3 { font-size: 15px; margin: 0 0 4px; }
p { max-width: 75ch; margin: 0 0 10px; }
header p { color: var(--muted); font-size: 17px; margin: 4px 0 0; overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: 4px 20px; margin-top: 14px; font-size: 14px; }
a { color: var(--accent); text-underline-offset: 3px; }
section { border-top: 1px solid var(--line); margin-top: 26px; padding-top: 22px; }
section.goes-on { border-top: 0; margin-top: 6px; padding-top: 6px; }
.note, .muted { color: var(--muted); font-size: 14px; }
.note { max-width: 110ch; }
.note:empty { display: none; }
dl.facts { display: flex; flex-wrap: wrap; gap: 12px 36px; margin: 0; }
.facts dt { color: var(--muted); font-size: 13px; }
.facts dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 5px 18px 5px 0; border-bottom: 1px solid var(--line); vertical-align: baseline; }
th { color: var(--muted); font-weight: 600; font-size: 13px; }
td.number, th.number { text-align: right; }
td.long { overflow-wrap: anywhere; min-width: 14em; }
td.name { overflow-wrap: anywhere; min-width: 9em; }
.wide { width: 100%; }
.chip { display: inline-block; width: 0.75em; height: 0.75em; border-radius: 2px; margin-right: 0.45em; }
.controls { display: flex; flex-wrap: wrap; gap: 10px 26px; align-items: end; margin-bottom: 16px; }
fieldset { border: 0; margin: 0; padding: 0; min-width: 0; }
legend, .label { color: var(--muted); font-size: 13px; padding: 0; margin-bottom: 3px; display: block; }
.choice { display: inline-flex; flex-wrap: wrap; border: 1px solid #b9bec7; border-radius: 6px; overflow: hidden; }
.choice label { position: relative; padding: 3px 12px; cursor: pointer; border-left: 1px solid #b9bec7;
  margin-left: -1px; }
.choice input { position: absolute; opacity: 0; }
.choice label:has(input:checked) { background: var(--ink); color: #fff; }
.choice label:has(input:focus-visible) { outline: 3px solid var(--accent); outline-offset: -3px; }
input[type=number] { width: 7em; }
select, input[type=number] { font: inherit; color: inherit; background: #fff; padding: 3px 8px; border: 1px solid #b9bec7; border-radius: 6px; }
input[type=range] { width: 100%; accent-color: var(--accent); margin: 2px 0 0; }
.check[hidden] { display: none !important; }
.check { display: flex; gap: 6px; align-items: center; padding: 4px 0; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
canvas { display: block; max-width: 100%; height: auto; }
.two { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 640px); gap: 36px; align-items: start; }
.two.chart { grid-template-columns: minmax(0, 1fr) 250px; gap: 28px; }
.layers { display: grid; grid-template-columns: repeat(auto-fill, minmax(var(--thumb), 1fr)); gap: 8px; }
@media (min-width: 961px) { .large { position: sticky; top: 14px; } }
.layers button { font: inherit; font-size: 13px; color: var(--ink); background: none; border: 0; padding: 4px 4px 2px;
  border-radius: 5px; cursor: pointer; }
.layers button:hover { background: var(--pale); }
.layers button[aria-pressed=true] { background: #fbe4d8; box-shadow: 0 0 0 2px var(--accent); font-weight: 600; }
.layers canvas { width: 100%; aspect-ratio: 1; image-rendering: pixelated; }
.layers button.chance span { opacity: 0.55; }
th button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer; text-align: inherit; }
th button:hover { text-decoration: underline; }
.tall { max-height: 560px; overflow-y: auto; border: 1px solid var(--line); border-radius: 6px; padding-left: 12px; }
.tall thead th { position: sticky; top: 0; background: #fff; }
.readout { display: block; font-size: 14px; min-height: 5.6em; margin-top: 10px; padding: 10px 14px;
  background: var(--pale);
  border-radius: 6px; overflow-wrap: anywhere; }
.readout.short { min-height: 2.9em; }
.readout code { background: #e6e8ec; border-radius: 3px; padding: 0 4px; white-space: pre-wrap; font-size: 13px; }
.readout .row { display: grid; grid-template-columns: 4.6em 1fr; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 18px; font-size: 13px; margin: 6px 0 0; padding: 0;
  list-style: none; }
.legend i { display: inline-block; width: 18px; height: 0; border-top: 3px solid; margin-right: 6px;
  vertical-align: middle; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(460px, 100%), 1fr)); gap: 28px 40px; }
.best { display: flex; flex-direction: column; max-height: 470px; overflow-y: auto; border: 1px solid var(--line);
  border-radius: 6px; }
.best button { display: grid; grid-template-columns: 1fr 1fr 1fr; font: inherit; font-size: 14px; text-align: right;
  font-variant-numeric: tabular-nums; background: none; color: inherit; border: 0;
  border-bottom: 1px solid var(--line);
  padding: 3px 14px 3px 4px; cursor: pointer; flex: none; }
.best .head { display: grid; grid-template-columns: 1fr 1fr 1fr; text-align: right; padding: 3px 14px 3px 4px;
  flex: none;
  color: var(--muted); font-size: 13px; border-bottom: 1px solid var(--line); position: sticky; top: 0;
  background: #fff; }
.best button.chance { opacity: 0.5; }
.best button:hover { background: var(--pale); }
.best button[aria-pressed=true] { background: #fbe4d8; font-weight: 600; }
.best button:focus-visible { outline-offset: -3px; }
.grid .note { margin: 8px 0 0; }
.fold summary { cursor: pointer; color: var(--muted); font-size: 14px; margin: 8px 0; }
@media (max-width: 960px) {
  main { padding: 20px 16px 48px; }
  .two, .two.chart { grid-template-columns: minmax(0, 1fr); }
  .two .large { order: -1; }
  .layers { grid-template-columns: repeat(auto-fill, minmax(92px, 1fr)); }
}
@media (max-width: 560px) {
  th, td { padding-right: 8px; font-size: 13px; }
  td.name { min-width: 6em; }
}
@media print {
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  @page { margin: 14mm; }
  body { font-size: 10.5pt; }
  main { padding: 0; max-width: none; }
  nav, .controls, input[type=range], .best, .screen, .readout { display: none !important; }
  .two, .two.chart { grid-template-columns: minmax(0, 1fr); gap: 14px; }
  .two .large { order: -1; max-width: 12cm; position: static; }
  .layers { grid-template-columns: repeat(auto-fill, minmax(2.5cm, 1fr)); }
  .layers button[aria-pressed=true] { box-shadow: none; background: none; }
  .layers button, tr, .grid > div, canvas { break-inside: avoid; }
  .grid { grid-template-columns: 1fr 1fr; gap: 16px; }
  section { padding-top: 12px; margin-top: 14px; }
  section.matrices, section.curves { break-before: page; }
  h2, h3, .note { break-after: avoid; }
  .tall { max-height: none; overflow: visible; }
  .fold table { font-size: 8.5pt; }
  .fold th, .fold td { padding: 1px 10px 1px 0; font-size: inherit; }
}
)css";

}  // namespace optscope::plot::detail
