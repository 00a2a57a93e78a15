#include "tools/table.hpp"

#include <algorithm>
#include <ostream>

#include "tools/printable.hpp"

namespace cairn::tools {
namespace {

constexpr std::size_t kGap = 2;
constexpr std::size_t kNoteIndent = 4;

std::string blanks(std::size_t count) {
  return std::string(count, ' ');
}

}  // namespace

Table& Table::row(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  for (std::string& cell : cells) cell = printable(cell);
  rows_.push_back({std::move(cells), {}});
  return *this;
}

Table& Table::note(std::string text) {
  rows_.back().notes.push_back(printable(text));
  return *this;
}

void Table::print(std::ostream& out, std::size_t indent) const {
  std::vector<std::size_t> widths;
  std::vector<std::string> heads;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    heads.push_back(columns_[c].head);
    widths.push_back(columns_of(heads.back()));
    for (const Row& row : rows_) widths[c] = std::max(widths[c], columns_of(row.cells[c]));
  }
  const auto print_cells = [&](const std::vector<std::string>& cells) {
    std::string line = blanks(indent);
    for (std::size_t c = 0; c < cells.size(); ++c) {
      const std::string pad = blanks(widths[c] - columns_of(cells[c]));
      if (c > 0) line += blanks(kGap);
      line += columns_[c].align == Align::right ? pad + cells[c] : cells[c] + pad;
    }
    out << line.substr(0, line.find_last_not_of(' ') + 1) << '\n';
  };
  print_cells(heads);
  for (const Row& row : rows_) {
    print_cells(row.cells);
    for (const std::string& note : row.notes) out << blanks(indent + kNoteIndent) << note << '\n';
  }
}

Lines& Lines::add(std::string key, const std::string& value) {
  lines_.emplace_back(std::move(key), printable(value));
  return *this;
}

void Lines::print(std::ostream& out) const {
  std::size_t width = 0;
  for (const auto& [key, value] : lines_) width = std::max(width, key.size());
  for (const auto& [key, value] : lines_) {
    out << key << ':' << blanks(width - key.size() + kGap) << value << '\n';
  }
}

}  // namespace cairn::tools
