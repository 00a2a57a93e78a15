#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace cairn::tools {

/// Rows of cells under a head, each column as wide as its widest cell. What the cells hold is made
/// printable here.
class Table {
 public:
  enum class Align : bool { left, right };
  struct Column {
    std::string head;
    Align align = Align::left;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// As many cells as there are columns.
  Table& row(std::vector<std::string> cells);
  /// A line of its own below the last row, indented.
  Table& note(std::string text);

  /// `indent` blanks before each line.
  void print(std::ostream& out, std::size_t indent = 0) const;

 private:
  struct Row {
    std::vector<std::string> cells;
    std::vector<std::string> notes;
  };
  std::vector<Column> columns_;
  std::vector<Row> rows_;
};

/// Lines of `key:  value`, the values below each other.
class Lines {
 public:
  Lines& add(std::string key, const std::string& value);
  void print(std::ostream& out) const;

 private:
  std::vector<std::pair<std::string, std::string>> lines_;
};

}  // namespace cairn::tools
