// SPDX-License-Identifier: MIT
#pragma once
// Everything in probe/: observers, editors, running statistics and sinks.

#include <optscope/probe/any_observer.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/probe/edit_list.hpp>
#include <optscope/probe/editor.hpp>
#include <optscope/probe/operations.hpp>
#include <optscope/probe/positions.hpp>
#include <optscope/probe/replace.hpp>
#include <optscope/probe/running.hpp>
#include <optscope/probe/running_moments.hpp>
#include <optscope/probe/running_quantiles.hpp>
#include <optscope/probe/running_top.hpp>
#include <optscope/probe/sink.hpp>
#include <optscope/probe/where.hpp>
