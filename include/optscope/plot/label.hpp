// SPDX-License-Identifier: MIT
#pragma once
// Text for pictures: UTF-8, labels that fit, and strings that gnuplot shows as they are.

#include <cstddef>
#include <filesystem>
#include <optscope/core/compiled.hpp>
#include <string>
#include <string_view>

namespace optscope::plot {

namespace detail {

/// Takes the first character off `text`, which is not empty: its bytes, or `?` for a byte that is not UTF-8.
[[nodiscard]] std::string_view take_character(std::string_view& text);

/// Cuts a label to `limit` characters (at least two), the last of them an ellipsis.
[[nodiscard]] std::string shortened(std::string_view text, std::size_t limit);

}  // namespace detail

/// A gnuplot string literal that shows `text` as it is, whatever it contains: quotes, backslashes, backquotes,
/// `$(...)`. Control characters become spaces, bytes that are not UTF-8 `?`. Add `noenhanced` where gnuplot would read
/// `_^{}@&~` as markup.
[[nodiscard]] std::string gnuplot_string(std::string_view text);

/// A tick with a label, `"text" place`, in the list of `set xtics (…)`. gnuplot formats such labels as numbers, so `%`
/// is written twice.
[[nodiscard]] std::string gnuplot_tick(std::string_view text, double place);

/// A gnuplot string literal for a file, whose name may contain any bytes.
[[nodiscard]] std::string gnuplot_path(const std::filesystem::path& file);

/// A number as gnuplot reads it in any locale: nine significant digits.
[[nodiscard]] std::string gnuplot_number(double value);

}  // namespace optscope::plot

#ifndef OPTSCOPE_COMPILED
#include <optscope/plot/label.ipp>
#endif
