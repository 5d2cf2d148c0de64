// `assay download`, MODEL as OWNER/NAME[:TYPE] and texts by name, against a server on this machine.
#include "tests/cli/program.h"
#include "tests/hub/local_hub.h"

namespace assay {
namespace {

namespace fs = std::filesystem;
using hub_test::HubTest;
using hub_test::slurp;

class DownloadCommand : public HubTest {
 protected:
  void SetUp() override {
    HubTest::SetUp();
    for (const auto& entry : fs::directory_iterator(ASSAY_SOURCE_DIR "/demo/reference-9m"))
      add("models/example/reference-9m/" + entry.path().filename().string(), slurp(entry.path()));
    serve();
  }
  std::string environment() const {
    return "env -u HF_TOKEN -u HF_HUB_OFFLINE -u CURL_CA_BUNDLE -u REQUESTS_CA_BUNDLE -u SSL_CERT_FILE HF_ENDPOINT=" + hub_->endpoint() +
           " HF_HOME=" + (scratch_ / "home").string() + " HF_HUB_CACHE=" + cache().string() +
           " ASSAY_CACHE=" + (scratch_ / "assay-cache").string() + " " + more_;
  }
  interop::PythonRun run(const std::string& arguments) const { return cli_test::run(arguments, environment()); }
  nlohmann::json result(const std::string& arguments) const { return cli_test::result(arguments, environment()); }
  std::string more_;
};

TEST_F(DownloadCommand, GivesPathCommitAndFiles) {
  const auto done = result("download owner/model-GGUF:q4_k_m");
  EXPECT_EQ(done["repository"], "owner/model-GGUF");
  EXPECT_EQ(done["commit"], hub_test::kCommit);
  EXPECT_EQ(done["files"],
            nlohmann::json::parse(R"([{"path": "model-Q4_K_M.gguf", "bytes": 1234567, "checksum": ")" + sha256_hex(large_) + "\"}]"));
  EXPECT_TRUE(slurp(done["path"].get<std::string>()) == large_);
  const auto again = run("download owner/model-GGUF:q4_k_m");
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_NE(again.output.find("was there"), std::string::npos) << again.output;
  EXPECT_TRUE(again.output.ends_with("\n" + done["path"].get<std::string>() + "\n")) << again.output;
  EXPECT_EQ(hub_->content_requests(), 1u);
}

TEST_F(DownloadCommand, AModelOfTheHubIsAModel) {
  const auto inspected = result("inspect example/reference-9m");
  EXPECT_EQ(inspected["parameters"], cli_test::result("inspect demo/reference-9m")["parameters"]);
  EXPECT_EQ(result("tokenize example/reference-9m --prompt hello"), cli_test::result("tokenize demo/reference-9m --prompt hello"));
  EXPECT_EQ(result("tokenize hf://example/reference-9m --prompt hello")["tokens"],
            cli_test::result("tokenize demo/reference-9m --prompt hello")["tokens"]);
  EXPECT_EQ(hub_->content_requests(), 1u);
  more_ = "HF_HUB_OFFLINE=1";
  EXPECT_EQ(result("inspect example/reference-9m")["parameters"], inspected["parameters"]);
  EXPECT_EQ(run("inspect example/another").exit_code, 65);
}

TEST_F(DownloadCommand, EveryCommandTakesOne) {
  const std::string model = "example/reference-9m", text = " --text demo/evaluation.txt --ctx 64 --chunks 1 --quiet --store none";
  const std::string out = (scratch_ / "out").string();
  for (const std::string& arguments :
       {"convert " + model + " -o " + out + "1.gguf", "quantize " + model + " --type Q4_K_M -o " + out + "2.gguf",
        "imatrix " + model + text + " -o " + out + "3.gguf", "eval " + model + " --base " + model + text,
        "score " + model + text + " --types Q4_K --json " + out + "4.json", "sweep " + model + text + " --types Q2_K --by layer",
        "plan " + model + " --table " + out + "4.json --bpw 5.5"}) {
    const auto done = run(arguments);
    EXPECT_EQ(done.exit_code, 0) << arguments << "\n" << done.output;
  }
  // The slow one is only seen to look for it.
  more_ = "HF_HUB_OFFLINE=1";
  const auto optimize =
      run("optimize example/absent --like Q4_K_M --calibration demo/calibration.txt --evaluation demo/evaluation.txt -o " + out);
  EXPECT_NE(optimize.output.find("hub: example/absent is not in the cache"), std::string::npos) << optimize.output;
}

TEST_F(DownloadCommand, PathsStayPaths) {
  const size_t before = hub_->requests().size();
  EXPECT_EQ(run("inspect demo/reference-9m").exit_code, 0);
  const auto misspelt = run("inspect demo/missing");
  EXPECT_EQ(misspelt.exit_code, 65);
  EXPECT_NE(misspelt.output.find("hf://demo/missing"), std::string::npos) << misspelt.output;
  EXPECT_EQ(run("inspect missing/model.gguf").exit_code, 65);
  EXPECT_EQ(run("inspect missing.gguf").exit_code, 65);
  EXPECT_EQ(hub_->requests().size(), before);
  const auto neither = run("inspect nobody/nothing --quiet");
  EXPECT_EQ(neither.exit_code, 65);
  EXPECT_NE(neither.output.find("nor is there a file or directory 'nobody/nothing'"), std::string::npos) << neither.output;
}

TEST_F(DownloadCommand, KnownTextsAreUnpackedOnce) {
  const std::string text = " = Title = \n\n" + std::string(5000, 'x') + "\n";
  const fs::path zip = scratch_ / "served/datasets/ggml-org/ci/wikitext-2-raw-v1.zip";
  fs::create_directories(zip.parent_path());
  const fs::path source = scratch_ / "wiki.test.raw";
  std::ofstream(source) << text;
  const auto packed = interop::run_shell(
      "python3 -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1], \"w\", zipfile.ZIP_DEFLATED)"
      ".write(sys.argv[2], \"wikitext-2-raw/wiki.test.raw\")' " +
      zip.string() + " " + source.string());
  ASSERT_EQ(packed.exit_code, 0) << packed.output;
  serve();
  const auto tokens = result("tokenize demo/reference-9m --text wikitext-2:test");
  EXPECT_EQ(tokens["ids"], cli_test::result("tokenize demo/reference-9m --text " + source.string())["ids"]);
  EXPECT_TRUE(fs::exists(cache() / "datasets--ggml-org--ci"));
  const size_t asked = hub_->requests().size();
  EXPECT_EQ(result("tokenize demo/reference-9m --text wikitext-2:test"), tokens);
  EXPECT_EQ(hub_->requests().size(), asked);
  const auto missing = run("tokenize demo/reference-9m --text wikitext-2:validation");
  EXPECT_EQ(missing.exit_code, 65);
  EXPECT_NE(missing.output.find("wiki.valid.raw"), std::string::npos) << missing.output;
  const auto unknown = run("tokenize demo/reference-9m --text wikitext-2");
  EXPECT_EQ(unknown.exit_code, 64);
  EXPECT_NE(unknown.output.find("wikitext-2:test, wikitext-2:validation, wikitext-2:train"), std::string::npos) << unknown.output;
}

TEST_F(DownloadCommand, TheTokenIsNeverShownNorStored) {
  serve({"private"});
  more_ = "HF_TOKEN=hf_secret";
  const auto done = run("download owner/model-GGUF:Q4_K_M --json " + (scratch_ / "result.json").string());
  EXPECT_EQ(done.exit_code, 0) << done.output;
  EXPECT_EQ(done.output.find("hf_secret"), std::string::npos);
  more_ = "HF_TOKEN=hf_wrong_one";
  const auto refused = run("download owner/model-GGUF:Q4_K_M README.md");
  EXPECT_EQ(refused.exit_code, 64);
  const auto wrong = run("download owner/model-GGUF README.md --revision v1");
  EXPECT_EQ(wrong.exit_code, 65) << wrong.output;
  EXPECT_EQ(wrong.output.find("hf_wrong"), std::string::npos) << wrong.output;
  for (const std::string& name : files_in(scratch_))
    EXPECT_TRUE(name == "log" || slurp(scratch_ / name).find("hf_") == std::string::npos) << name;
}

// http_proxy names the server itself; the endpoint has no address of its own.
TEST_F(DownloadCommand, GoesThroughAProxy) {
  const std::string proxy = hub_->endpoint();
  const auto done = cli_test::run("download owner/model-GGUF README.md --quiet",
                                  environment() + " HF_ENDPOINT=http://hub.invalid http_proxy=" + proxy + " no_proxy=");
  EXPECT_EQ(done.exit_code, 0) << done.output;
  EXPECT_EQ(hub_->requests().back()["headers"]["Host"], "hub.invalid");
}

TEST_F(DownloadCommand, HttpsWithCertificatesThatAreTrusted) {
  const std::string key = (scratch_ / "key.pem").string(), certificate = (scratch_ / "certificate.pem").string(),
                    both = (scratch_ / "both.pem").string();
  const auto made = interop::run_shell(
      "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout " +
      key + " -out " + certificate + " && cat " + key + " " + certificate + " > " + both);
  if (made.exit_code != 0) GTEST_SKIP() << "no openssl to make a certificate with: " << made.output;
  serve({"tls=" + both});
  more_ = "HF_ENDPOINT=https://127.0.0.1:" + std::to_string(hub_->port());
  const auto untrusted = run("download owner/model-GGUF:Q4_K_M --quiet");
  EXPECT_EQ(untrusted.exit_code, 74) << untrusted.output;
  EXPECT_NE(untrusted.output.find("certificate"), std::string::npos) << untrusted.output;
  more_ += " SSL_CERT_FILE=" + certificate;
  EXPECT_TRUE(slurp(result("download owner/model-GGUF:Q4_K_M")["path"].get<std::string>()) == large_);
}

TEST_F(DownloadCommand, UsageErrors) {
  EXPECT_EQ(run("download").exit_code, 64);
  EXPECT_EQ(run("download model-GGUF").exit_code, 64);
  EXPECT_EQ(run("download owner/data --repo-type dataset").exit_code, 64);
  EXPECT_EQ(run("download owner/model-GGUF --part-size 5").exit_code, 64);
  EXPECT_EQ(run("download owner/model-GGUF --revision ../x").exit_code, 64);
}

TEST_F(DownloadCommand, ProgressSaysBytesAndWhatIsLeft) {
  serve({"slow=150000"});  // about eight seconds in one request
  const auto done = run("download owner/model-GGUF:Q4_K_M");
  EXPECT_EQ(done.exit_code, 0) << done.output;
  EXPECT_NE(done.output.find("KiB/1.18 MiB  "), std::string::npos) << done.output;
  EXPECT_NE(done.output.find(" s left  "), std::string::npos) << done.output;
}

}  // namespace
}  // namespace assay
