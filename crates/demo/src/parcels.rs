//! The parcels that the playground exports and harvests: 200 invented ones, bundled.

use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// A parcel as the bundled file describes it: a GeoJSON feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parcel {
    #[serde(rename = "type")]
    kind: FeatureKind,
    /// What is known of it.
    pub properties: Properties,
    /// Where it is.
    pub geometry: Polygon,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum FeatureKind {
    Feature,
}

/// What is known of a parcel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Properties {
    /// Section and number, `A-001`.
    pub parcel_id: String,
    /// Part of the town.
    pub section: String,
    /// What it is used for.
    pub land_use: String,
    /// By what right it is held.
    pub tenure: String,
    /// Its area, in square metres.
    pub area_m2: f64,
    /// Households that live on it.
    pub households: u32,
    /// Day of the survey, `2024-03-16`.
    pub surveyed: String,
}

/// The outline of a parcel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Polygon {
    #[serde(rename = "type")]
    kind: PolygonKind,
    /// Rings of longitude and latitude, each closed; the first is the outer one.
    pub coordinates: Vec<Vec<[f64; 2]>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum PolygonKind {
    Polygon,
}

impl Polygon {
    /// The outline as well-known text, for tables.
    #[must_use]
    pub fn to_wkt(&self) -> String {
        let point = |[x, y]: &[f64; 2]| format!("{x} {y}");
        let ring = |ring: &Vec<[f64; 2]>| {
            let points: Vec<_> = ring.iter().map(point).collect();
            format!("({})", points.join(", "))
        };
        let rings: Vec<_> = self.coordinates.iter().map(ring).collect();
        format!("POLYGON ({})", rings.join(", "))
    }
}

/// Every parcel of the bundled file, in its order.
#[must_use]
pub fn all() -> &'static [Parcel] {
    #[derive(Deserialize)]
    struct Collection {
        features: Vec<Parcel>,
    }
    static ALL: LazyLock<Vec<Parcel>> = LazyLock::new(|| {
        let file: Collection = serde_json::from_slice(include_bytes!("../data/parcels.geojson"))
            .expect("the file is part of this program, and a test reads it");
        file.features
    });
    &ALL
}

/// The parcels of a project: about a quarter of all, always the same ones.
///
/// Any two slugs name a project here, so that nobody has to look up which ones exist.
pub fn of_project(org_slug: &str, project_slug: &str) -> impl Iterator<Item = &'static Parcel> {
    let project = hash(hash(FNV_OFFSET, org_slug), project_slug);
    all()
        .iter()
        .filter(move |parcel| spread(hash(project, &parcel.properties.parcel_id)).is_multiple_of(4))
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// FNV-1a of `text` and an end mark, which no text holds, continued from `seed`. Stable for ever,
/// unlike the hashes of the standard library.
fn hash(seed: u64, text: &str) -> u64 {
    let bytes = text.bytes().chain([0xff]);
    bytes.fold(seed, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
    })
}

/// Ids that differ in their last letter alone hash to neighbours; this parts them.
fn spread(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn ids(org: &str, project: &str) -> Vec<&'static str> {
        let ids = of_project(org, project).map(|parcel| &*parcel.properties.parcel_id);
        ids.collect()
    }

    #[test]
    fn the_bundled_file_holds_200_parcels_with_ids_of_their_own_and_closed_outlines() {
        let names: HashSet<_> = all().iter().map(|p| &p.properties.parcel_id).collect();
        assert_eq!((all().len(), names.len()), (200, 200));
        for Parcel { geometry, .. } in all() {
            let ring = &geometry.coordinates[0];
            assert_eq!((ring.len(), ring.first()), (5, ring.last()));
        }
    }

    #[test]
    fn a_project_keeps_its_parcels_and_every_project_has_some() {
        // Written down, so that an export of today compares with one of next year.
        assert_eq!(ids("acme", "north")[..3], ["A-002", "A-012", "A-014"]);
        assert_ne!(ids("acme", "north"), ids("acme", "south"));
        assert_ne!(ids("ac", "menorth"), ids("acme", "north"));
        for n in 0..200 {
            let parcels = ids("org", &format!("project-{n}")).len();
            assert!((25..=80).contains(&parcels), "project-{n}: {parcels}");
        }
    }

    #[test]
    fn an_outline_becomes_well_known_text() {
        let polygon: Polygon = serde_json::from_str(
            r#"{"type":"Polygon","coordinates":[[[8.5,45.0],[9.0,45.25],[8.5,45.0]]]}"#,
        )
        .expect("reads");
        assert_eq!(polygon.to_wkt(), "POLYGON ((8.5 45, 9 45.25, 8.5 45))");
    }
}
