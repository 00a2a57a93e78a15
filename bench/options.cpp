#include "options.hpp"

namespace bench {

void add_slicing_option(CLI::App& command, std::optional<Slicing>& slicing) {
  command
      .add_option_function<std::string>(
          "--slicing", [&slicing](const std::string& name) { slicing = slicing_named(name); },
          "what a rank holds of every tensor, whatever the workload says")
      ->check(CLI::IsMember({"rows", "columns", "grid", "replicated", "stage"}));
}

CLI::Option* add_bytes_option(CLI::App& command, const std::string& name,
                              std::optional<std::size_t>& bytes, const std::string& about) {
  constexpr bool kKiloIs1000 = false;
  return command.add_option(name, bytes, about)->transform(CLI::AsSizeValue(kKiloIs1000));
}

}  // namespace bench
