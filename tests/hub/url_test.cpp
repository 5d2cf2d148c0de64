// Addresses: what a token may follow from is read strictly.
#include "assay/hub/url.h"

#include <gtest/gtest.h>

namespace assay {
namespace {

std::string origin(const std::string& text) {
  const auto url = parse_url(text);
  return url ? url->origin() : "refused";
}

TEST(Url, OriginsAreEqualWhereTheServerIs) {
  EXPECT_EQ(origin("https://huggingface.co"), "https://huggingface.co:443");
  EXPECT_EQ(origin("HTTPS://HuggingFace.co:443/a/b?c=d#e"), "https://huggingface.co:443");
  EXPECT_EQ(origin("http://127.0.0.1:8080/x"), "http://127.0.0.1:8080");
  EXPECT_EQ(origin("http://[::1]/x"), "http://[::1]:80");
  EXPECT_NE(origin("https://huggingface.co:444"), origin("https://huggingface.co"));
  EXPECT_NE(origin("http://huggingface.co:443"), origin("https://huggingface.co"));
  EXPECT_NE(origin("https://huggingface.co.example.org/"), origin("https://huggingface.co"));
}

TEST(Url, WhatCanBeReadInTwoWaysIsRefused) {
  for (const char* text :
       {"https://huggingface.co@example.org/", "https://user:word@huggingface.co/", "https://huggingface.co\\@example.org/",
        "https://huggingface.co\t.example.org", "https://hugging face.co", "file:///etc/passwd", "ftp://a", "//a/b", "a/b", "https://",
        "https:///a", "https://a:", "https://a:b", "https://a:123456", "https://a%2eb/", "https://a\r\nX: y/", ""})
    EXPECT_EQ(origin(text), "refused") << text;
}

TEST(Url, MessagesHoldNoSecrets) {
  EXPECT_EQ(shown("https://a.b/c?X-Signature=1"), "https://a.b/c");
  EXPECT_EQ(shown("https://name:word@a.b/c#d"), "https://a.b/c");
  EXPECT_EQ(parse_url("https://name:word@a.b/?k=v").error().message.find("word"), std::string::npos);
}

TEST(Url, PathsAreEncoded) { EXPECT_EQ(percent_encoded_path("a b/ü#?%.gguf"), "a%20b/%C3%BC%23%3F%25.gguf"); }

TEST(Url, Loopback) {
  EXPECT_TRUE(parse_url("http://localhost:1/")->loopback());
  EXPECT_TRUE(parse_url("http://127.1.2.3")->loopback());
  EXPECT_FALSE(parse_url("http://localhost.example.org")->loopback());
  EXPECT_FALSE(parse_url("http://127.0.0.1.example.org")->loopback());
}

}  // namespace
}  // namespace assay
