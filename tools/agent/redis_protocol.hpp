// The bytes of Redis as replies, and commands as bytes. The only includer of hiredis.
#pragma once

#include <hiredis.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "phlower/ground/status.hpp"

namespace phlower::agent {

/// A reply: the texts of an array, or one text.
struct RedisReply {
  bool error = false;
  std::vector<std::string_view> texts;  // valid until the next call of the parser
};

/// A command as Redis wants its bytes.
inline std::string redis_command(const std::vector<std::string_view>& words) {
  std::vector<const char*> data;
  std::vector<std::size_t> sizes;
  for (const std::string_view word : words) {
    data.push_back(word.data());
    sizes.push_back(word.size());
  }
  char* text = nullptr;
  const int size =
      ::redisFormatCommandArgv(&text, static_cast<int>(words.size()), data.data(), sizes.data());
  if (size < 0) return {};
  std::string command(text, static_cast<std::size_t>(size));
  ::redisFreeCommand(text);
  return command;
}

/// Feed bytes, take replies. Memory: bounded by `kUnreadMax`.
class RedisParser {
 public:
  /// Celery's largest messages are far below; beyond it the other side is not to be trusted.
  static constexpr std::size_t kUnreadMax = 64u << 20;

  RedisParser() : reader_(::redisReaderCreate(), &::redisReaderFree) {}

  /// Errors: kCorrupt, after which the connection is of no use.
  Status feed(std::string_view bytes) {
    if (!reader_) return Status(Code::kInternal, "no memory");
    if (reader_->len - reader_->pos + bytes.size() > kUnreadMax) {
      return {Code::kCorrupt, "a message of over 64MiB"};
    }
    return ::redisReaderFeed(reader_.get(), bytes.data(), bytes.size()) == REDIS_OK ? Status()
                                                                                    : failed();
  }

  /// The next whole reply; false: it takes more bytes. Errors: kCorrupt.
  Result<bool> next(RedisReply& out) {
    void* raw = nullptr;
    if (::redisReaderGetReply(reader_.get(), &raw) != REDIS_OK) return failed();
    reply_.reset(static_cast<redisReply*>(raw));
    if (!reply_) return false;
    out.texts.clear();
    out.error = reply_->type == REDIS_REPLY_ERROR;
    if (reply_->type == REDIS_REPLY_ARRAY) {
      for (std::size_t i = 0; i < reply_->elements; ++i) {
        const redisReply* item = reply_->element[i];
        const bool text = item->type == REDIS_REPLY_STRING || item->type == REDIS_REPLY_STATUS;
        out.texts.push_back(text ? std::string_view(item->str, item->len) : std::string_view());
      }
    } else if (reply_->str != nullptr) {
      out.texts.emplace_back(reply_->str, reply_->len);
    }
    return true;
  }

 private:
  struct Free {
    void operator()(redisReply* reply) const { ::freeReplyObject(reply); }
  };

  Status failed() const {
    return {Code::kCorrupt, std::string("not the protocol of Redis: ") + reader_->errstr};
  }

  std::unique_ptr<redisReader, decltype(&::redisReaderFree)> reader_;
  std::unique_ptr<redisReply, Free> reply_;
};

}  // namespace phlower::agent
