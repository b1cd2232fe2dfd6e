// SPDX-License-Identifier: MIT
// Loads the report in headless Chromium with two scripts added, one that notes every error and one that uses the page
// as a reader would, by mouse and by keyboard; what that finds becomes the title of the document.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <optscope/core/output_file.hpp>
#include <optscope/plot/points.hpp>
#include <optscope/plot/ranked.hpp>
#include <optscope/plot/report.hpp>
#include <string>

#include "made_up_study.hpp"

using namespace optscope;
using namespace optscope::plot;

namespace {

constexpr std::string_view watch = R"js(<script>
window.problems = [];
window.addEventListener('error', (event) => problems.push(event.message));
window.addEventListener('unhandledrejection', (event) => problems.push(String(event.reason)));
document.addEventListener('securitypolicyviolation', (event) => problems.push(`forbidden: ${event.violatedDirective}`));
for (const level of ['error', 'warn']) console[level] = (...words) => problems.push(words.join(' '));
</script>)js";

constexpr std::string_view tools = R"js(<script>
const one = (selector, inside = document) => inside.querySelector(selector);
const expect = (truth, what) => { if (!truth) problems.push(what); };
const press = (target, key) => target.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true, cancelable: true}));
const section = (heading) => [...document.querySelectorAll('section')].find((s) => one('h2', s).textContent === heading);
const pick = (inside, value) => one(`input[value="${value}"]`, inside).click();
// Whether doing something changes the picture of a canvas.
const changes = (canvas, what) => { const before = canvas.toDataURL(); what(); return canvas.toDataURL() !== before; };

)js";

const std::string use_study = R"js(
const run = () => {
  const matrices = section('Similarity of every pair'), matrix = one('canvas.matrix'), slider = one('input[type=range]');
  const readout = one('output', matrices), thumbs = [...document.querySelectorAll('.layers button')];
  const pressed = () => thumbs.findIndex((thumb) => thumb.getAttribute('aria-pressed') === 'true');
  expect(thumbs.length === 12, 'twelve small matrices');
  const colours = new Set(new Uint32Array(matrix.getContext('2d').getImageData(100, 100, 400, 400).data.buffer));
  expect(colours.size > 30, 'the large matrix shows many colours');

  const move = (to) => { slider.value = to; slider.dispatchEvent(new Event('input', {bubbles: true})); };
  expect(changes(matrix, () => move(9)), 'the slider changes the picture');
  expect(one('h3', matrices).textContent.includes('Layer 9'), 'the slider changes the caption');
  expect(pressed() === 9, 'the slider chooses the small matrix');
  expect(changes(matrix, () => thumbs[2].click()) && pressed() === 2, 'a click on a small matrix chooses it');
  press(thumbs[2], 'ArrowRight');
  expect(pressed() === 3 && document.activeElement === thumbs[3], 'an arrow key goes to the next small matrix');

  expect(changes(matrix, () => { press(matrix, 'ArrowRight'); press(matrix, 'ArrowDown'); }), 'the cursor shows');
  for (const part of ['value', 'articles', 'position 475', 'position 479', 'the'])
    expect(readout.textContent.includes(part), `the readout has ${part}: ${readout.textContent}`);
  expect(changes(matrix, () => press(matrix, 'PageUp')) && pressed() === 4, 'Page Up goes to the next layer');
  const box = matrix.getBoundingClientRect();
  matrix.dispatchEvent(new PointerEvent('pointermove', {clientX: box.left + box.width / 2, clientY: box.top + 20, bubbles: true}));
  expect(readout.textContent.includes('papers'), `hover tells the column's text: ${readout.textContent}`);
  matrix.dispatchEvent(new PointerEvent('pointerleave'));
  expect(readout.textContent.includes('arrow keys'), 'the readout says how to get one');

  expect(changes(one('canvas', thumbs[6]), () => pick(matrices, 'resid_post')), 'another site, other small matrices');
  expect(changes(matrix, () => pick(matrices, 'last position')), 'another set of vectors, another picture');
  press(matrix, 'ArrowRight');
  expect(readout.textContent.includes('position 511'), 'the last position is told');
  pick(matrices, 'scaled_cosine');
  expect(one('h3', matrices).textContent.includes('scaled_cosine'), 'the metric changes');
  one('input[type=checkbox]', matrices).click();

  const curves = section('Similarity by layer'), chart = one('canvas', curves);
  expect(changes(chart, () => { press(chart, 'ArrowRight'); press(chart, 'ArrowUp'); }), 'the cursor of a chart shows');
  expect(one('output', curves).textContent.includes('p = 0.31'), `the chart tells p: ${one('output', curves).textContent}`);
  expect(curves.textContent.includes('all 2100 assignments'), 'what p was taken over');
  expect(document.querySelectorAll('details table').length === 2, 'a table for each chart');

  const streams = section('Streams'), picture = one('canvas', streams), input = one('input[type=number]', streams);
  const ask = (dimension) => { input.value = dimension; input.dispatchEvent(new Event('change')); };
  expect(changes(picture, () => ask(5)), 'another dimension, another picture');
  expect(one('h3', streams).textContent.includes('dimension 5'), 'the dimension is told');
  expect(changes(picture, () => pick(streams, 'whole')), 'the whole range looks different');
  expect(changes(picture, () => one('.best button', streams).click()) && input.value === '17', 'the best dimension is a click away');
  const select = one('select', streams), first = () => one('.best button', streams).value;
  select.value = '3';
  select.dispatchEvent(new Event('change'));
  expect(first() === '21' && document.querySelectorAll('.best button').length === 5, 'the best dimensions of one layer');
  expect(changes(picture, () => pick(streams, 'resid_post')), 'another site, other streams');
  press(picture, 'ArrowRight');
  expect(one('output', streams).textContent.includes('layer 0'), 'the chart tells the layer');

  expect(!document.getElementById('injected'), 'a name is text, not markup');
  expect(section('Texts').textContent.includes('<b id="injected">'), 'a name with markup is shown as it is');
  expect(document.documentElement.scrollWidth <= window.innerWidth, 'nothing is wider than the window');
};
)js";

const std::string use_ranked = R"js(
const run = () => {
  const map = one('canvas.matrix'), readout = one('output'), told = (part) =>
      expect(readout.textContent.includes(part), `the readout has ${part}: ${readout.textContent}`);
  expect(changes(map, () => press(map, 'Home')), 'the cursor shows');
  for (const part of ['layer 0, neuron 7', 'rank 1 of 200', 'g9 ·', 'highest at', '<i>0.7</i>']) told(part);
  press(map, 'ArrowRight');
  told('layer 0, neuron 8');
  told('not found');
  press(map, 'ArrowDown');
  press(map, 'Home');
  for (const part of ['layer 1, neuron 7', '· found']) told(part);
  press(map, 'End');
  for (const part of ['neuron 6', 'rank 200 of 200', 'none']) told(part);
  const box = map.getBoundingClientRect();
  map.dispatchEvent(new PointerEvent('pointermove', {clientX: box.left + 36, clientY: box.top + 120, bubbles: true}));
  told('layer 1, neuron 7');
  expect(changes(map, () => pick(document, 'code')), 'another panel, another picture');
  press(map, 'Home');
  told('layer 1, neuron 12');
  expect(document.documentElement.scrollWidth <= window.innerWidth, 'nothing is wider than the window');
  const chart = one('.charts canvas');
  expect(changes(chart, () => press(chart, 'ArrowRight')), 'a layer alone is a point that a cursor finds');
  const paint = chart.getContext('2d').getImageData(0, 0, chart.width, chart.height).data;
  let green = 0;
  for (let i = 0; i < paint.length; i += 4) green += paint[i + 1] > paint[i] + 60;
  expect(green > 60, `a layer alone is drawn: ${green} dots`);
};
)js";

const std::string use_points = R"js(
const run = () => {
  const map = one('canvas.matrix'), slider = one('input[type=range]'), readout = one('output'), told = (part) =>
      expect(readout.textContent.includes(part), `the readout has ${part}: ${readout.textContent}`);
  expect(one('h3').textContent === 'resid_post.1', 'the last map comes first');
  expect(changes(map, () => { slider.value = 0; slider.dispatchEvent(new Event('input')); }), 'the slider changes the map');
  for (const part of ['resid_post.0', '<b>good</b>']) expect(one('.points').textContent.includes(part), part);
  expect(changes(map, () => press(map, 'ArrowRight')), 'the cursor shows');
  for (const part of ['articles', 'town', 'position 1', '<i>', 'component 3 2']) told(part);
  press(map, 'ArrowDown');
  for (const part of ['code', 'lib', 'position 1']) told(part);
  press(map, 'Escape');
  const box = map.getBoundingClientRect(), middle = {clientX: box.left + 19 + box.width / 2, bubbles: true};
  for (let y = box.top; y < box.bottom; y += 8) map.dispatchEvent(new PointerEvent('pointermove', {...middle, clientY: y}));
  map.dispatchEvent(new PointerEvent('pointerleave'));
  for (const choice of ['position', '2 and 3']) expect(changes(map, () => pick(document, choice)), choice);
  expect(changes(map, () => one('input[type=checkbox]').click()), 'a category can be left out');
  press(map, 'ArrowRight');
  told('code');
  expect(document.documentElement.scrollWidth <= window.innerWidth, 'nothing is wider than the window');
};
)js";

constexpr std::string_view begin = R"js(
// The page draws when the browser has laid it out, which on a busy machine takes long, while timers run on virtual time and
// wait for nothing. So each try costs some work, too.
let tries = 0, work = 0;
const drawn = () => [...document.querySelectorAll('canvas')].every((canvas) => canvas.width !== 300);  // 300: untouched
const start = () => {
  if (!drawn() && ++tries < 2000) {
    for (let i = 0; i < 3e6; ++i) work = (work * 31 + i) | 0;
    return setTimeout(start, 1);
  }
  try { run(); } catch (problem) { problems.push(String(problem)); }
  document.title = problems.length ? `failed: ${problems.join(' | ')}` : 'passed';
};
start();
</script>)js";

std::string quoted(const std::filesystem::path& path) { return "'" + path.string() + "'"; }

std::string chromium() {
  for (const std::string name : {"chromium", "chromium-browser", "google-chrome"}) {
    if (std::system((name + " --version >/dev/null 2>&1").c_str()) == 0) return name;
  }
  return {};
}

#define NEEDS_CHROMIUM                                                \
  const std::string browser = chromium();                             \
  if (browser.empty()) {                                              \
    MESSAGE("skipped: chromium is not installed (Debian: chromium)"); \
    return;                                                           \
  }

void run_browser(const std::string& browser, const std::filesystem::path& folder, const std::string& action,
                 const std::filesystem::path& page) {
  const std::string command =
      "timeout 120 " + browser + " --headless --no-sandbox --disable-gpu --hide-scrollbars " +
      "--disable-dev-shm-usage --virtual-time-budget=10000 --user-data-dir=" + quoted(folder / "profile") + " " +
      action + " file://" + quoted(page) + " >" + quoted(folder / "output") + " 2>" + quoted(folder / "messages");
  REQUIRE_MESSAGE(std::system(command.c_str()) == 0, content_of(folder / "messages"));
}

// The title that the page has after it has been used: `passed`, or `failed: ` and what was wrong.
std::string verdict(const std::string& browser, const std::filesystem::path& folder, std::string page,
                    const std::string& use) {
  page.insert(page.find("<head>") + 6, watch);
  page.insert(page.rfind("</body>"), std::string{tools} + use + std::string{begin});
  optscope::write_file(folder / "used.html", page);
  run_browser(browser, folder, "--window-size=1280,1000 --dump-dom", folder / "used.html");
  const std::string document = content_of(folder / "output");
  const std::size_t from = document.find("<title>"), to = document.find("</title>");
  REQUIRE_NE(to, std::string::npos);
  return document.substr(from + 7, to - from - 7);
}

// The page of a study, with a name that would be markup.
std::string page_of_study(const std::filesystem::path& folder) {
  made_up::study study{96};
  study.report.texts[1].name = "<b id=\"injected\">bold</b>";
  made_up::write_page(study.report, folder);
  return content_of(folder / "report.html");
}

}  // namespace

TEST_CASE("the report works in a browser, by mouse and by keyboard, without an error" * doctest::test_suite("long")) {
  NEEDS_CHROMIUM
  const temporary_folder folder;
  const std::string page = page_of_study(folder.path);
  CHECK_EQ(verdict(browser, folder.path, page, use_study), "passed");
  // For a look: a screenshot next to the test program.
  const auto beside = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  run_browser(browser, folder.path, "--window-size=1280,3000 --screenshot=" + quoted(beside / "report.png"),
              folder.path / "report.html");
  CHECK_GT(std::filesystem::file_size(beside / "report.png"), 50000);
}

TEST_CASE("ranked units are looked up, and a chart of one layer has a point, in a browser" *
          doctest::test_suite("long")) {
  NEEDS_CHROMIUM
  const temporary_folder folder;
  ranked_units what{.unit = "neuron", .note_label = "highest at"};
  for (const std::size_t best : {7u, 12u}) {
    ranked_panel& panel = what.panels.emplace_back();
    panel.title = best == 7 ? "articles" : "code";
    panel.values = tensor<float, 2>{{2, 200}};
    for (std::size_t i = 0; i < 400; ++i) {  // falls from `best`, round the end; the last one is not known
      const std::size_t behind = (i % 200 + 200 - best) % 200;
      panel.values.data()[i] = behind == 199 ? NAN : (best == 7 ? 9.0f : 5.0f) - 0.1f * static_cast<float>(behind);
      panel.marked.push_back(i >= 200 && behind < 3);
    }
  }
  for (std::size_t i = 0; i < 400; ++i) {
    what.notes.push_back("<i>" + std::to_string(i / 200) + "." + std::to_string(i % 200) + "</i>");
  }
  report page{"Ranked"};
  add_ranked(page, "Neurons", "", "neurons", what);
  const line_panel layer{.series = {{.name = "within", .x = {3}, .y = {0.4}, .colour = hue(0)}}};
  page.chart("One layer", "", {&layer, 1}, {});
  CHECK_EQ(verdict(browser, folder.path, page.html(), use_ranked), "passed");
}

TEST_CASE("maps are gone through by slider, and their dots tell what they are, in a browser" *
          doctest::test_suite("long")) {
  NEEDS_CHROMIUM
  const temporary_folder folder;
  mapped_points what{.texts = {{"articles", "town", "A town", 9}, {"code", "lib", "int main", 9}},
                     .axes = {"component 1", "component 2", "component 3"}};
  for (const std::size_t text : {0u, 1u}) {
    for (const std::size_t position : {1u, 2u, 3u}) what.vectors.push_back({text, position, "<i>"});
  }
  for (const float side : {1.0f, -2.0f}) {
    map_panel& panel = what.panels.emplace_back();
    panel.title = side > 0 ? "resid_post.0" : "resid_post.1";
    panel.note = "<b>good</b>";
    panel.points = tensor<float, 2>{{6, 3}};
    for (std::size_t i = 0; i < 6; ++i) {
      panel.points(i, 0) = side * static_cast<float>(i);
      panel.points(i, 1) = static_cast<float>(i * i % 5);
      panel.points(i, 2) = 2 - static_cast<float>(i);
    }
  }
  report page{"Maps"};
  add_texts(page, what.texts);
  add_points(page, "Maps", "", "maps", what);
  CHECK_EQ(verdict(browser, folder.path, page.html(), use_points), "passed");
  const picture drawn = scatter(what, "Maps");
  CHECK_EQ(drawn.data.size(), 2 * 6 * 2);
  draw(drawn, {.stem = folder.path / "maps", .formats = {image_format::png}});
}

TEST_CASE("the browser test notices a slider without effect, and an error" * doctest::test_suite("long")) {
  NEEDS_CHROMIUM
  const temporary_folder folder;
  std::string page = page_of_study(folder.path);
  const std::string handler = "layer = Number(slider.value);";
  const std::size_t at = page.find(handler);
  REQUIRE_NE(at, std::string::npos);
  page.replace(at, handler.size(), "undefined.gone;");
  const std::string found = verdict(browser, folder.path, page, use_study);
  CHECK_NE(found.find("the slider changes the picture"), std::string::npos);
  CHECK_NE(found.find("TypeError"), std::string::npos);
}
