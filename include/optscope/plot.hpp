// SPDX-License-Identifier: MIT
#pragma once
// Everything in plot/: heat maps, line charts, intervals, streams, and reports as one HTML page.

#include <optscope/plot/axes.hpp>
#include <optscope/plot/gnuplot.hpp>
#include <optscope/plot/heatmap.hpp>
#include <optscope/plot/intervals.hpp>
#include <optscope/plot/label.hpp>
#include <optscope/plot/lines.hpp>
#include <optscope/plot/palette.hpp>
#include <optscope/plot/points.hpp>
#include <optscope/plot/ranked.hpp>
#include <optscope/plot/report.hpp>
#include <optscope/plot/spectra_report.hpp>
#include <optscope/plot/streams.hpp>
#include <optscope/plot/study_report.hpp>
#include <optscope/plot/study_summary.hpp>
