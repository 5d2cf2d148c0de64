"""huggingface_hub against the same server and cache as ours. usage: huggingface_hub_client.py ENDPOINT CACHE fetch|find|scan

fetch: downloads the repository (network); find: gives the path of its file from the cache alone; scan: what its cache scanner says."""
import os
import sys

endpoint, cache, action = sys.argv[1:]
os.environ["HF_ENDPOINT"] = endpoint
os.environ["HF_HUB_CACHE"] = cache
os.environ["HF_HUB_DISABLE_XET"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import huggingface_hub  # noqa: E402

repository = "owner/model-GGUF"
if action == "fetch":
    print(huggingface_hub.snapshot_download(repository))
elif action == "find":
    print(huggingface_hub.hf_hub_download(repository, "model-Q4_K_M.gguf", local_files_only=True))
else:
    found = huggingface_hub.scan_cache_dir(cache)
    for warning in found.warnings:
        print("warning:", warning)
    for repo in found.repos:
        for revision in repo.revisions:
            print(repo.repo_id, repo.repo_type, revision.commit_hash, sorted(revision.refs), revision.size_on_disk, revision.nb_files)
