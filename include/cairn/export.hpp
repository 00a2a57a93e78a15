#pragma once

/// \file
/// What the shared library shows.

/// Marks what the shared library exports; everything else in it is hidden.
#define CAIRN_API __attribute__((visibility("default")))
