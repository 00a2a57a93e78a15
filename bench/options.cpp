#include "options.hpp"

namespace bench {

void add_slicing_option(CLI::App& command, std::optional<Slicing>& slicing) {
  command
      .add_option_function<std::string>(
          "--slicing", [&slicing](const std::string& name) { slicing = slicing_named(name); },
          "what a rank holds of every tensor, whatever the workload says")
      ->check(CLI::IsMember({"rows", "columns", "grid", "replicated", "stage"}));
}

cairn::Key ProtectionArguments::key() const {
  return key_file.empty() ? cairn::Key() : cairn::read_key_file(key_file);
}

void add_protection_options(CLI::App& command, ProtectionArguments& arguments) {
  command.add_flag("--crc", arguments.crc, "with CRCs of all blocks (a load: not without)");
  CLI::Option* key = command.add_option(
      "--key-file", arguments.key_file,
      "encrypted; a file of hexadecimal digits, as openssl rand -hex 32 prints them");
  command.add_option("--enc-mode", arguments.enc_mode, "how it is encrypted")
      ->check(CLI::IsMember({"AES-GCM", "AES-CBC", "SM4-CBC"}))
      ->needs(key);
}

CLI::Option* add_bytes_option(CLI::App& command, const std::string& name,
                              std::optional<std::size_t>& bytes, const std::string& about) {
  constexpr bool kKiloIs1000 = false;
  return command.add_option(name, bytes, about)->transform(CLI::AsSizeValue(kKiloIs1000));
}

}  // namespace bench
