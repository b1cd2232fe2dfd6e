// SPDX-License-Identifier: MIT
#pragma once
// Bodies of code_structure.hpp.

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <optscope/isolation/code_structure.hpp>
#include <string>
#include <vector>

namespace optscope {
namespace detail {

/// What a token of C is, as far as its neighbours depend on it.
enum class c_kind {
  none,     // the beginning of the piece
  name,     // an identifier
  keyword,  // a word of C that may stand beside names, also an attribute such as `__init`
  head,     // if, while, for, switch: a bracket follows
  lone,     // break, continue: a semicolon follows
  to,       // goto: a name follows
  number,
  string,    // or a character constant
  member,    // . and ->: a name follows
  binary,    // an operator that needs something on both sides
  prefix,    // an operator that needs something after it
  star,      // *, which ends a type, too
  step,      // ++ and --
  question,  // ? and :
  comma,
  semicolon,
  open,
  close,
  ellipsis
};

struct c_token {
  c_kind kind = c_kind::none;
  char first = '\0';
  bool assigns = false;
};

template <std::size_t N>
bool is_one_of(std::string_view word, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// Cuts a piece of a program into tokens, without comments and directives.
class c_tokenizer {
 public:
  explicit c_tokenizer(std::string_view text) : text_{text} {
    const std::size_t end = text.find("*/");  // the piece may begin in a comment
    if (end != std::string_view::npos && text.find("/*") > end) {
      at_ = end + 2;
      outside_ = true;
    }
  }

  /// False at an error.
  [[nodiscard]] bool run() {
    while (at_ < text_.size()) {
      if (!step()) return false;
    }
    return true;
  }
  [[nodiscard]] const std::vector<c_token>& tokens() const noexcept { return tokens_; }
  /// Whether there was a comment or a directive.
  [[nodiscard]] bool outside() const noexcept { return outside_; }

 private:
  static bool in_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

  [[nodiscard]] bool at(std::string_view what) const { return text_.substr(at_, what.size()) == what; }

  bool step() {
    const char c = text_[at_];
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      ++at_;
      return true;
    }
    if (at("//") || at("/*")) return skip_comment();
    if (c == '#') return directive();
    if (c == '\\') return line_end();
    if (std::isdigit(static_cast<unsigned char>(c)) != 0) return number();
    if (in_word(c)) return word();
    if (c == '"' || c == '\'') return literal(c);
    return punctuation(c);
  }

  bool skip_comment() {
    const bool line = text_[at_ + 1] == '/';
    const std::size_t end = line ? text_.find('\n', at_) : text_.find("*/", at_ + 2);
    at_ = end == std::string_view::npos ? text_.size() : end + (line ? 1 : 2);
    outside_ = true;
    return true;
  }

  /// A backslash ends a line, or the piece.
  bool line_end() {
    ++at_;
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\r' || text_[at_] == '\t')) ++at_;
    return at_ == text_.size() || text_[at_] == '\n';
  }

  bool directive() {
    constexpr std::array<std::string_view, 13> known{"include", "define",  "undef", "if",    "ifdef",
                                                     "ifndef",  "else",    "elif",  "endif", "pragma",
                                                     "error",   "warning", "line"};
    const bool after_line = text_.substr(0, at_).find_last_not_of(" \t") == std::string_view::npos ||
                            text_[text_.substr(0, at_).find_last_not_of(" \t")] == '\n';
    ++at_;
    if (!after_line) return true;  // # and ## of a macro, or the piece begins in a line
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
    std::size_t end = at_;
    while (end < text_.size() && in_word(text_[end])) ++end;
    if (end < text_.size() && !is_one_of(text_.substr(at_, end - at_), known)) return false;
    do {  // to the end of the line, and of those that a backslash adds
      end = text_.find('\n', end);
      if (end == std::string_view::npos) end = text_.size();
      at_ = end;
      if (end < text_.size()) ++end;
    } while (at_ < text_.size() && at_ > 0 && text_[at_ - 1] == '\\');
    outside_ = true;
    return true;
  }

  bool number() {
    while (at_ < text_.size() && (in_word(text_[at_]) || text_[at_] == '.')) ++at_;
    return add({.kind = c_kind::number, .first = '0'});
  }

  bool word() {
    constexpr std::array<std::string_view, 4> heads{"if", "while", "for", "switch"};
    constexpr std::array<std::string_view, 2> alone{"break", "continue"};
    constexpr std::array<std::string_view, 24> keywords{"static", "const",  "struct",  "union", "enum",     "unsigned",
                                                        "signed", "int",    "char",    "long",  "short",    "void",
                                                        "inline", "extern", "typedef", "else",  "volatile", "register",
                                                        "float",  "double", "return",  "case",  "do",       "default"};
    const std::size_t begin = at_;
    while (at_ < text_.size() && in_word(text_[at_])) ++at_;
    const std::string_view what = text_.substr(begin, at_ - begin);
    const bool cut = at_ == text_.size();  // the word may go on
    c_kind kind = c_kind::name;
    if (!cut && is_one_of(what, heads)) kind = c_kind::head;
    if (!cut && is_one_of(what, alone)) kind = c_kind::lone;
    if (!cut && what == "goto") kind = c_kind::to;
    if (is_one_of(what, keywords) || what.starts_with("__")) kind = c_kind::keyword;
    return add({.kind = kind, .first = what == "for" ? 'f' : 'a'});
  }

  bool literal(char quote) {
    const std::size_t begin = ++at_;
    for (; at_ < text_.size() && text_[at_] != quote; ++at_) {
      if (text_[at_] == '\n') return false;
      if (text_[at_] == '\\') ++at_;
    }
    if (at_ < text_.size()) {
      const std::size_t length = at_ - begin;
      if (quote == '\'' && (length == 0 || length > (text_[begin] == '\\' ? 4U : 1U))) return false;
      ++at_;
    } else if (quote == '\'' && text_.size() - begin > 4) {
      return false;
    }
    at_ = std::min(at_, text_.size());
    return add({.kind = c_kind::string, .first = quote});
  }

  static c_kind kind_of(std::string_view operation) {
    if (operation == "...") return c_kind::ellipsis;
    if (operation == "->") return c_kind::member;
    if (operation == "++" || operation == "--") return c_kind::step;
    if (operation.size() > 1) return c_kind::binary;
    switch (operation[0]) {
      case '(':
      case '[':
      case '{': return c_kind::open;
      case ')':
      case ']':
      case '}': return c_kind::close;
      case '.': return c_kind::member;
      case ';': return c_kind::semicolon;
      case ',': return c_kind::comma;
      case '?':
      case ':': return c_kind::question;
      case '*': return c_kind::star;
      case '!':
      case '~':
      case '&':
      case '+':
      case '-': return c_kind::prefix;
      default: return c_kind::binary;
    }
  }

  bool punctuation(char c) {
    constexpr std::array<std::string_view, 23> longest{"...", "<<=", ">>=", "->", "++", "--", "<<", ">>",
                                                       "<=",  ">=",  "==",  "!=", "&&", "||", "+=", "-=",
                                                       "*=",  "/=",  "%=",  "&=", "|=", "^=", "##"};
    std::string_view what = text_.substr(at_, 1);
    for (const std::string_view each : longest) {
      if (at(each)) {
        what = each;
        break;
      }
    }
    at_ += what.size();
    if (what == "##") return true;
    if (std::string_view{"([{)]};,?:*!~&+-=/%<>|^."}.find(c) == std::string_view::npos) return false;
    constexpr std::array<std::string_view, 4> compares{"==", "!=", "<=", ">="};
    const bool assigns = what.back() == '=' && !is_one_of(what, compares);
    return add({.kind = kind_of(what), .first = c, .assigns = assigns});
  }

  bool add(const c_token& what) {
    tokens_.push_back(what);
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<c_token> tokens_;
  bool outside_ = false;
};

template <class... Kinds>
constexpr std::uint32_t kinds_of(Kinds... kinds) {
  return ((std::uint32_t{1} << static_cast<unsigned>(kinds)) | ...);
}

/// The kinds that may not follow a token.
inline std::uint32_t not_after(const c_token& before) {
  using enum c_kind;
  constexpr std::uint32_t statement = kinds_of(head, lone, to), joins = kinds_of(binary, question);
  constexpr std::uint32_t ends = kinds_of(semicolon, comma, close);
  switch (before.kind) {
    case none:
    case head: return 0;  // see `may_follow`
    case lone: return ~kinds_of(semicolon);
    case to: return ~kinds_of(name, star);
    case member: return ~kinds_of(name, keyword);
    case ellipsis: return ~kinds_of(close, name, number);
    case number: return statement | kinds_of(name, keyword, number, string, open);
    case string: return statement | kinds_of(number);
    case name: return statement | kinds_of(number, ellipsis);
    case keyword: return kinds_of(binary);
    case binary: return statement | ends | joins | kinds_of(member);
    case prefix: return statement | ends | joins;
    case star: return statement | joins | kinds_of(semicolon);
    case step: return kinds_of(number, string, head);
    case question: return kinds_of(close, comma, binary);
    case comma: return statement | joins | kinds_of(comma, semicolon);
    case semicolon: return joins | kinds_of(comma, member, string);
    case open:
      return joins | kinds_of(comma) | (before.first == '{' ? 0 : statement) |
             (before.first == '[' ? kinds_of(semicolon) : 0);
    case close:
      if (before.first == ']') return statement | kinds_of(name, number, string);
      return before.first == '}' ? joins | kinds_of(number, string, member) : 0;
  }
  return 0;
}

inline bool may_follow(const c_token& before, const c_token& after) {
  using enum c_kind;
  const char first = after.first;
  switch (before.kind) {
    case head: return first == '(';
    case number:
    case string:
      if (after.assigns) return false;
      [[fallthrough]];
    case name:
      if (first == '~' || (first == '!' && after.kind == prefix)) return false;
      break;
    case star:
      if (first == ']' || first == '}') return false;
      break;
    case comma:
      if (first == ')' || first == ']') return false;
      break;
    case semicolon:
      if (first == ']') return false;
      break;
    default: break;
  }
  return (not_after(before) & kinds_of(after.kind)) == 0;
}

inline char opening_bracket_of(char c) { return c == ')' ? '(' : c == ']' ? '[' : '{'; }

/// Whether brackets, neighbours and runs of names are as in C.
inline bool tokens_fit(const std::vector<c_token>& tokens) {
  constexpr std::size_t most_names = 2;  // a type and a name
  std::string open;                      // `f` is the bracket of a `for`
  c_token before;
  std::size_t names = 0;
  for (const c_token& each : tokens) {
    if (!may_follow(before, each)) return false;
    names = each.kind == c_kind::name ? names + 1 : each.kind == c_kind::keyword ? names : 0;
    if (names > most_names) return false;
    if (each.kind == c_kind::open) open += before.first == 'f' && before.kind == c_kind::head ? 'f' : each.first;
    if (each.kind == c_kind::semicolon && !open.empty() && (open.back() == '(' || open.back() == '[')) return false;
    if (each.kind == c_kind::close && !open.empty()) {
      const char match = opening_bracket_of(each.first);
      if (open.back() != match && !(open.back() == 'f' && match == '(')) return false;
      open.pop_back();
    }
    before = each;
  }
  return true;
}

}  // namespace detail

OPTSCOPE_INLINE bool has_code_structure(std::string_view text) {
  detail::c_tokenizer pieces{text};
  if (!pieces.run() || !detail::tokens_fit(pieces.tokens())) return false;
  return pieces.outside() || std::ranges::any_of(pieces.tokens(), [](const detail::c_token& each) {
           return std::string_view{"(){}[];=,"}.find(each.first) != std::string_view::npos;
         });
}

}  // namespace optscope
