//! The suite that every platform database must pass, once per database.

mod sqlite {
    use counterfoil_testkit::store_suite::StoreSite;

    counterfoil_testkit::store_suite!(StoreSite::sqlite());
}

mod postgres {
    use counterfoil_testkit::store_suite::StoreSite;

    counterfoil_testkit::store_suite!(StoreSite::postgres());
}
