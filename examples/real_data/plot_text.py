"""
=====================================
Text: what words tell about code size
=====================================

Do the words of a docstring tell how long the function below it is? The data come with every
installation of scikit-learn. We take the functions in six packages of scikit-learn as
documents, make a sparse matrix of TF-IDF features, and fit the number of lines.
"""

# %%
# The documents
# -------------
# `ast` finds all functions with a docstring of ten words and more. The target is the logarithm
# of the number of lines of code, without the docstring: a step of 1 is a function twice as
# long. The numbers below depend on the version of scikit-learn.

import ast
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import sklearn
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline

from sgdlinreg import MiniBatchSGDRegressor

plt.style.use("tableau-colorblind10")


def functions_of(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            docstring, code = ast.get_docstring(node) or "", node.body[1:]
            if len(docstring.split()) >= 10 and code:
                yield docstring, code[-1].end_lineno - code[0].lineno + 1


root = Path(sklearn.__file__).parent
packages = ("ensemble", "linear_model", "metrics", "model_selection", "preprocessing", "utils")
files = [file for package in packages for file in sorted((root / package).glob("*.py"))]
documents, n_lines = zip(*(pair for file in files for pair in functions_of(file)), strict=True)
y = np.log2(n_lines)
train, test, y_train, y_test = train_test_split(documents, y, random_state=0)
print(f"{len(files)} files, {len(documents)} functions, median {np.median(n_lines):.0f} lines")

# %%
# The model
# ---------
# The vectorizer makes more than a thousand columns, nearly all of them 0. CSR matrices are
# fitted as they are. With more words than the rows can support, the penalty matters, and a
# grid search chooses it. `solver="numba"` takes time in proportion to the words that do occur.

pipeline = make_pipeline(
    TfidfVectorizer(min_df=3, token_pattern="[a-zA-Z]{3,}", sublinear_tf=True),
    MiniBatchSGDRegressor(solver="numba", random_state=0),
)
search = GridSearchCV(pipeline, {"minibatchsgdregressor__alpha": [1e-3, 3e-3]}, cv=3)
search.fit(train, y_train)
vectorizer, model = search.best_estimator_
print(f"{model.n_features_in_} words, alpha={model.alpha}, {model.n_iter_} passes")
print(f"R2 on other functions: {search.score(test, y_test):.2f}")

# %%
# The words explain a part of the differences between functions, and leave most of them open.
#
# The words
# ---------
# A coefficient is the change for a document that consists of that word alone. Words are
# correlated, so each of them shares its effect with its neighbours.

words = vectorizer.get_feature_names_out()
order = np.argsort(model.coef_)
shown = np.concatenate([order[:10], order[-10:]])

figure, ax = plt.subplots(figsize=(6.5, 5), layout="constrained")
ax.barh(words[shown], model.coef_[shown], color=["C0"] * 10 + ["C1"] * 10)
ax.axvline(0, color="black", linewidth=1)
ax.set(
    xlabel="coefficient (doublings of the number of lines)",
    title="Words of short functions and of long ones",
)
plt.show()

# %%
figure, ax = plt.subplots(figsize=(5.8, 4), layout="constrained")
ax.scatter(2 ** search.predict(test), 2**y_test, s=12, alpha=0.5, linewidths=0)
ax.plot([1, 200], [1, 200], color="black", linestyle=":", label="prediction = truth")
ax.set(
    xscale="log",
    yscale="log",
    xlabel="predicted lines",
    ylabel="lines",
    title="Functions not seen before",
)
ax.legend()
plt.show()

# %%
# See also: :doc:`/user_guide/pipelines`, :doc:`/user_guide/choosing_a_solver`.
