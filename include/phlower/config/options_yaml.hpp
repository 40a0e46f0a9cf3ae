// Options from a YAML file and back. The only header that includes yaml-cpp. It reads the parser's
// events, not a tree of nodes: each error has its place, and a hostile file builds nothing.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <cerrno>
#include <exception>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "phlower/config/config_errors.hpp"
#include "phlower/config/options.hpp"
#include "phlower/config/options_fields.hpp"
#include "phlower/config/options_reader.hpp"
#include "phlower/ground/status.hpp"

namespace phlower {

inline constexpr std::size_t kConfigMaxBytes = 256 * 1024;

namespace yaml_detail {

inline TextPlace place(const YAML::Mark& mark) {
  return mark.is_null() ? TextPlace{} : TextPlace{mark.line + 1, mark.column + 1};
}

/// Turns the events of one document, a map of sections that are maps of knobs, into calls of an
/// OptionsReader.
template <class Reader>
class Events final : public YAML::EventHandler {
 public:
  Events(Reader& reader, ConfigErrors& errors) : reader_(reader), errors_(errors) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ == 2) errors_.add(place(mark), "", "starts a second document; write only one");
  }
  void OnDocumentEnd() override {}
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    if (!ignored()) reader_.fail(place(mark), "is an alias (*name); write the value itself");
    item(mark, Kind::kBad);
  }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    item(mark, checked(Kind::kNull, mark, "", anchor));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    item(mark, checked(Kind::kScalar, mark, tag, anchor), text, tag != "!");
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    item(mark, checked(Kind::kList, mark, tag, anchor));
    ++skipping_;
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    const Kind kind = checked(Kind::kMap, mark, tag, anchor);
    const bool wanted = depth_ == 0 || (depth_ == 1 && !key_next_ && take_);
    if (!ignored() && kind == Kind::kMap && wanted) {
      ++depth_;
      key_next_ = true;
      return;
    }
    item(mark, kind);
    ++skipping_;
  }
  void OnMapEnd() override { close(); }

 private:
  enum class Kind { kScalar, kNull, kList, kMap, kBad };  // kBad: reported already

  bool ignored() const { return skipping_ > 0 || documents_ > 1; }

  // No anchors and no tags: nothing here needs them, and they are how YAML surprises.
  Kind checked(Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (ignored()) return kind;
    const bool tagged = !tag.empty() && tag != "?" && tag != "!";
    if (anchor != 0) reader_.fail(place(mark), "has an anchor (&name); write it without");
    if (tagged) reader_.fail(place(mark), "has the tag " + shown_text(tag) + "; write no tag");
    return anchor != 0 || tagged ? Kind::kBad : kind;
  }

  void close() {
    if (skipping_ > 0) {
      --skipping_;
    } else if (documents_ < 2 && --depth_ == 1) {
      reader_.leave_section();
      key_next_ = true;
    }
  }

  // A key, or a value other than the map of the document or of a section.
  void item(const YAML::Mark& mark, Kind kind, const std::string& text = {}, bool plain = true) {
    if (ignored()) return;
    if (depth_ == 0) {
      if (kind == Kind::kScalar || kind == Kind::kList) {
        reader_.fail(place(mark), "is no map; write sections ('store:') with keys below");
      }
      return;
    }
    if (key_next_) {
      key_place_ = place(mark);
      take_ = kind == Kind::kScalar &&
              (depth_ == 1 ? reader_.section(place(mark), text) : reader_.key(place(mark), text));
      if (kind != Kind::kScalar && kind != Kind::kBad) {
        reader_.fail(place(mark), "has a key that is no word; write 'name: value'");
      }
    } else {
      if (take_) take_value(mark, kind, text, plain);
      depth_ == 1 ? reader_.leave_section() : reader_.leave_key();
    }
    key_next_ = !key_next_;
  }

  void take_value(const YAML::Mark& mark, Kind kind, const std::string& text, bool plain) {
    if (depth_ == 1) {  // an empty section, with its keys commented out, changes nothing
      if (kind == Kind::kScalar || kind == Kind::kList) {
        reader_.fail(place(mark), "is a section; write its keys below it, indented");
      }
      return;
    }
    switch (kind) {
      case Kind::kScalar: reader_.set(place(mark), text, plain); break;
      case Kind::kNull: reader_.fail(key_place_, "has no value; write one, or no key"); break;
      case Kind::kList: reader_.fail(place(mark), "is a list; write one value"); break;
      case Kind::kMap: reader_.fail(place(mark), "is a map; write one value"); break;
      case Kind::kBad: break;
    }
  }

  Reader& reader_;
  ConfigErrors& errors_;
  int documents_ = 0;
  int depth_ = 0;     // 0 outside, 1 among the sections, 2 among the keys of one
  int skipping_ = 0;  // depth inside something that was refused
  bool key_next_ = true;
  bool take_ = false;    // the last key was known and new
  TextPlace key_place_;  // of the last key: what is missing has no place of its own
};

/// The parser replaces bytes that are no UTF-8 and stops at some control characters: neither may
/// pass in silence. True if the text has none of both.
inline bool is_clean(std::string_view text, ConfigErrors& errors) {
  for (TextPlace at; !text.empty(); ++at.column) {
    const Character next = first_character(text);
    const bool blank = next.code == '\n' || next.code == '\t' || next.code == '\r';
    if (next.size == 0 || (next.code < 0x20 && !blank) || next.code == 0x7f) {
      errors.add(at, "", "holds a byte that is no text; write plain UTF-8");
      return false;
    }
    text.remove_prefix(next.size);
    if (next.code == '\n') at = {at.line + 1, 0};
  }
  return true;
}

/// Keeps the names of the sections and nothing else.
struct SectionNames {
  std::vector<std::string> names;

  bool section(TextPlace, const std::string& name) {
    names.push_back(name);
    return false;
  }
  static bool key(TextPlace, const std::string&) { return false; }
  static void set(TextPlace, const std::string&, bool) {}
  static void fail(TextPlace, const std::string&) {}
  static void leave_section() {}
  static void leave_key() {}
};

inline std::string in_quotes(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') out += '\\';
    if (byte < 0x20 || byte == 0x7f) {
      out.append("\\x") += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

}  // namespace yaml_detail

/// Options from YAML `text`; what it does not name keeps its default. `name` stands before each
/// error. Errors: kInvalidConfig, up to 20 lines `name:line:column: key: what is wrong; what would
/// be right`. `OptionsT` is Options or a struct of options with a visit_options and a check_options
/// of its own. Thread safety: safe. Blocks: never.
template <class OptionsT = Options>
Result<OptionsT> parse_options(std::string_view text, std::string_view name) {
  ConfigErrors errors;
  BasicOptionsReader<OptionsT> reader(errors);
  if (text.size() > kConfigMaxBytes) {
    errors.add({}, "", "is over 256KiB; a configuration is smaller");
    return errors.status(name);
  }
  if (!yaml_detail::is_clean(text, errors)) return errors.status(name);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    yaml_detail::Events events(reader, errors);
    for (int documents = 0; documents < 2 && parser.HandleNextDocument(events);) ++documents;
  } catch (const YAML::DeepRecursion& e) {
    errors.add(yaml_detail::place(e.mark), "", "is nested too deeply; two levels are enough");
  } catch (const YAML::Exception& e) {
    errors.add(yaml_detail::place(e.mark), "",
               "is not YAML: " + e.msg + "; look at indentation, colons and quotes here");
  } catch (const std::exception& e) {
    return Status(Code::kInternal, std::string(name) + ": cannot be read: " + e.what());
  }
  const OptionsT& options = reader.finish();
  if (!errors.empty()) return errors.status(name);
  return options;
}

/// The names of the sections of a configuration, known or not, as far as `text` is YAML.
inline std::vector<std::string> config_sections(std::string_view text) {
  yaml_detail::SectionNames reader;
  ConfigErrors errors;
  if (text.size() > kConfigMaxBytes || !yaml_detail::is_clean(text, errors)) return {};
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    yaml_detail::Events events(reader, errors);
    parser.HandleNextDocument(events);
  } catch (const std::exception&) {
    return reader.names;
  }
  return reader.names;
}

/// The text of the configuration file `path`. Errors: kNotFound, kPermission, kIo; kInvalidConfig
/// for what is no regular file. At most one byte over kConfigMaxBytes. Blocks: for one small file.
inline Result<std::string> read_config_text(const std::string& path) {
  // O_NONBLOCK: opening a pipe that nobody writes must not wait.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return Status::from_errno(path);
  struct stat info {};
  std::string text;
  Status status;
  if (::fstat(fd, &info) != 0) {
    status = Status::from_errno(path);
  } else if (!S_ISREG(info.st_mode)) {
    status = Status(Code::kInvalidConfig, path + ": is no regular file; name a YAML file");
  } else {
    text.resize(kConfigMaxBytes + 1);
    std::size_t size = 0;
    ssize_t got = 1;
    while (got != 0 && size < text.size()) {
      got = ::read(fd, text.data() + size, text.size() - size);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) break;
      size += static_cast<std::size_t>(got);
    }
    if (got < 0) status = Status::from_errno(path);
    text.resize(size);
  }
  ::close(fd);
  if (!status.ok()) return status;
  return text;
}

/// Options from the file `path`. Errors: those of parse_options and read_config_text.
template <class OptionsT = Options>
Result<OptionsT> load_options(const std::string& path) {
  const Result<std::string> text = read_config_text(path);
  if (!text.ok()) return text.status();
  return parse_options<OptionsT>(*text, path);
}

/// Every key with its value as YAML that parse_options reads back to the same options.
template <class OptionsT>
std::string dump_effective(const OptionsT& options) {
  std::string out;
  std::string_view section;
  visit_options(options, [&](std::string_view key, const auto& value, auto kind) {
    const std::size_t dot = key.find('.');
    if (key.substr(0, dot) != section) {
      section = key.substr(0, dot);
      out.append(section).append(":\n");
    }
    std::string text = field::write(value, kind);
    if (std::is_same_v<decltype(kind), field::Text>) text = yaml_detail::in_quotes(text);
    out.append("  ").append(key.substr(dot + 1)).append(": ").append(text).append("\n");
  });
  return out;
}

}  // namespace phlower
