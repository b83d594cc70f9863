"""Chinese and English in one list, ranked by BAAI/bge-reranker-v2-m3.

Run it with: python examples/mixed_languages.py [MODEL]

MODEL is a Hub name or a local folder. The default is bge-reranker-v2-m3, a 2.3 GB download the first time.
"""

import sys

from rerank_plugins import ModelNotFoundError, Reranker

DOCUMENTS = [
    "苹果发布会介绍新款iPhone和健康功能",  # Apple's event presents a new iPhone and health features
    "Apple's event presents a new iPhone and health features.",
    "苹果推出Apple Intelligence，新增写作工具、智能摘要和更懂上下文的Siri等人工智能功能",
    "Apple Intelligence brings writing tools, smart summaries and a Siri that understands context.",
    "每天一个苹果有益健康",  # an apple a day is good for you
]
QUESTIONS = ["苹果公司最新发布的AI功能", "the AI features Apple has just released"]  # the same question


def main(model: str = "BAAI/bge-reranker-v2-m3") -> None:
    """Ask in both languages; both times the two passages about AI should come first, whatever their language."""
    try:
        reranker = Reranker(model)
    except ModelNotFoundError:
        sys.exit(f"This example needs the model '{model}': run it with network access, or pass a local folder.")
    for question in QUESTIONS:
        print(question)
        for result in reranker.rank(question, DOCUMENTS):
            print(f"  {result.score:.3f}  was {result.index + 1}  {DOCUMENTS[result.index]}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
