"""What an invented commune's records are made of: names, places, codes and sentences of primary care in Viet Nam."""

from typing import NamedTuple

FAMILY = (
    "Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Huỳnh", "Phan", "Vũ", "Võ", "Đặng", "Bùi", "Đỗ", "Hồ", "Ngô", "Dương",
    "Lý", "Vàng", "Giàng", "Lò", "Cà", "Quàng", "Hà", "Đinh", "Mai", "Trịnh", "Sùng", "Thào", "Tẩn", "Má", "Chảo",
)  # fmt: skip
MIDDLE = {
    "male": ("Văn", "Hữu", "Đức", "Minh", "Quang", "Xuân", "Công", "A", "Đình", "Thanh"),
    "female": (
        "Thị",
        "Thị Thu",
        "Ngọc",
        "Thị Bích",
        "Thị Hồng",
        "Thu",
        "Thị Mỹ",
        "Thị Kim",
        "Phương",
        "Diệu",
    ),
}
GIVEN = (
    "An", "Anh", "Bình", "Chi", "Chính", "Cường", "Dung", "Dũng", "Giang", "Hà", "Hạnh", "Hiền", "Hiếu", "Hòa", "Hoa",
    "Hùng", "Huệ", "Khánh", "Lan", "Liên", "Linh", "Loan", "Long", "Mai", "Minh", "My", "Nam", "Nga", "Nhung", "Phúc",
    "Phương", "Quân", "Quyên", "Sơn", "Tâm", "Thảo", "Thắng", "Thủy", "Toàn", "Trang", "Tú", "Tuấn", "Vân", "Yến",
    "Páo", "Sử", "Dơ", "Mỷ", "Chứ", "Say", "Pàng", "Xuân",
)  # fmt: skip
PLACES = (
    ("Tả Van", "Lào Cai", "010"), ("Chiềng Khoong", "Sơn La", "014"), ("Mường Lèo", "Sơn La", "014"),
    ("Tân Phước", "Đồng Tháp", "082"), ("Đắk Ru", "Lâm Đồng", "068"), ("Xín Cái", "Tuyên Quang", "002"),
    ("Hương Phong", "Huế", "046"), ("An Minh", "An Giang", "091"), ("Ia Mơ", "Gia Lai", "064"),
    ("Hải Lộc", "Thanh Hóa", "038"),
)  # fmt: skip
"""Commune, province, and the three digits by which an identity number names a province of birth."""
VILLAGE = (
    "Thôn", "Bản", "Ấp", "Xóm", "Buôn",
)  # fmt: skip
STAFF = (
    "YS. Lò Thị Hương", "ĐD. Nguyễn Thị Thắm", "BS. Vàng A Sử", "NHS. Trần Thị Lụa", "YS. Hoàng Văn Quyết",
    "ĐD. Quàng Thị Inh",
)  # fmt: skip
OCCUPATIONS = ("Nông dân", "Học sinh", "Công nhân", "Nội trợ", "Buôn bán", "Hưu trí", "Giáo viên", "Trẻ em")
ETHNIC = ("Kinh", "Tày", "Thái", "Mông", "Dao", "Giáy", "Ê Đê", "Khmer", "Mường", "Hoa")


class Vital(NamedTuple):
    """A measurement: LOINC code and name, mean and spread, decimals, UCUM code and the unit as people write it."""

    code: str
    name: str
    mean: float
    spread: float
    decimals: int
    ucum: str
    unit: str


VITALS = (
    Vital("8867-4", "Heart rate", 78, 11, 0, "/min", "/min"),
    Vital("9279-1", "Respiratory rate", 18, 3, 0, "/min", "/min"),
    Vital("8310-5", "Body temperature", 36.9, 0.6, 1, "Cel", "°C"),
    Vital("59408-5", "Oxygen saturation by pulse oximetry", 97, 1.6, 0, "%", "%"),
    Vital("29463-7", "Body weight", 52, 14, 1, "kg", "kg"),
    Vital("8302-2", "Body height", 154, 16, 0, "cm", "cm"),
    Vital("14743-9", "Glucose, capillary blood by glucometer", 6.1, 1.9, 1, "mmol/L", "mmol/L"),
)
SYSTOLIC = Vital("8480-6", "Systolic blood pressure", 126, 17, 0, "mm[Hg]", "mmHg")
DIASTOLIC = Vital("8462-4", "Diastolic blood pressure", 78, 10, 0, "mm[Hg]", "mmHg")

DIAGNOSES = (
    ("I10", "Tăng huyết áp vô căn (nguyên phát)"), ("E11.9", "Đái tháo đường típ 2, không biến chứng"),
    ("J06.9", "Nhiễm trùng đường hô hấp trên cấp, không đặc hiệu"), ("J20.9", "Viêm phế quản cấp, không đặc hiệu"),
    ("J18.9", "Viêm phổi, tác nhân không xác định"), ("J44.9", "Bệnh phổi tắc nghẽn mạn tính, không đặc hiệu"),
    ("J45.9", "Hen, không đặc hiệu"), ("A09", "Tiêu chảy và viêm dạ dày - ruột do nhiễm trùng"),
    ("K29.7", "Viêm dạ dày, không đặc hiệu"), ("K21.9", "Bệnh trào ngược dạ dày - thực quản"),
    ("M54.5", "Đau vùng thắt lưng"), ("M17.9", "Thoái hóa khớp gối, không đặc hiệu"), ("M10.9", "Gút, không đặc hiệu"),
    ("N39.0", "Nhiễm trùng hệ tiết niệu, vị trí không xác định"), ("L30.9", "Viêm da, không đặc hiệu"),
    ("H10.9", "Viêm kết mạc, không đặc hiệu"), ("H66.9", "Viêm tai giữa, không đặc hiệu"),
    ("R51", "Đau đầu"), ("R50.9", "Sốt, không đặc hiệu"), ("G47.0", "Rối loạn vào giấc và duy trì giấc ngủ"),
    ("D50.9", "Thiếu máu thiếu sắt, không đặc hiệu"), ("A90", "Sốt xuất huyết Dengue"), ("B01.9", "Thủy đậu"),
    ("Z34.9", "Theo dõi thai nghén bình thường"), ("S61.9", "Vết thương hở của cổ tay và bàn tay"),
    ("T14.1", "Vết thương hở của vùng cơ thể không xác định"), ("W57", "Bị côn trùng cắn hoặc đốt"),
    ("A15.0", "Lao phổi, xác định bằng soi đờm"), ("F32.9", "Giai đoạn trầm cảm, không đặc hiệu"),
    ("I20.9", "Cơn đau thắt ngực, không đặc hiệu"), ("E04.9", "Bướu giáp không độc, không đặc hiệu"),
    ("K02.9", "Sâu răng, không đặc hiệu"), ("B82.9", "Nhiễm ký sinh trùng đường ruột"),
)  # fmt: skip
MEDICINES = (
    ("Amlodipin 5 mg", "viên"), ("Losartan 50 mg", "viên"), ("Enalapril 5 mg", "viên"), ("Metformin 500 mg", "viên"),
    ("Gliclazid MR 30 mg", "viên"), ("Paracetamol 500 mg", "viên"), ("Paracetamol 250 mg", "gói"),
    ("Amoxicillin 500 mg", "viên"), ("Amoxicillin + acid clavulanic 625 mg", "viên"), ("Cefalexin 500 mg", "viên"),
    ("Azithromycin 250 mg", "viên"), ("Omeprazol 20 mg", "viên"), ("Oresol 20,5 g", "gói"),
    ("Kẽm gluconat 20 mg", "viên"), ("Sắt fumarat + acid folic", "viên"), ("Vitamin 3B", "viên"),
    ("Loratadin 10 mg", "viên"), ("Salbutamol xịt 100 mcg", "liều"), ("Prednisolon 5 mg", "viên"),
    ("Meloxicam 7,5 mg", "viên"), ("Colchicin 1 mg", "viên"), ("Albendazol 400 mg", "viên"),
    ("Natri clorid 0,9 %", "lọ"), ("Povidon iod 10 %", "lọ"), ("Acid acetylsalicylic 81 mg", "viên"),
)  # fmt: skip
VACCINES = (
    ("19", "BCG", "Lao"), ("45", "Hep B", "Viêm gan B sơ sinh"), ("198", "DTP-hepB-Hib", "5 trong 1 (ComBE Five)"),
    ("02", "OPV", "Bại liệt uống"), ("10", "IPV", "Bại liệt tiêm"), ("05", "measles", "Sởi"),
    ("04", "M/R", "Sởi - Rubella"), ("39", "Japanese encephalitis", "Viêm não Nhật Bản"), ("20", "DTaP", "DPT nhắc"),
    ("112", "tetanus toxoid", "Uốn ván"), ("88", "influenza", "Cúm mùa"), ("213", "SARS-COV-2", "COVID-19"),
)  # fmt: skip
"""CVX code, its short name, and what a vaccination book says."""
ALLERGENS = (
    ("7980", "Penicillin"), ("10831", "Sulfamethoxazol"), ("5640", "Ibuprofen"), ("1191", "Aspirin"),
    ("2193", "Ceftriaxon"), ("", "Tôm, cua"), ("", "Phấn hoa"), ("", "Sữa bò"),
)  # fmt: skip
"""RxNorm code where there is one, and the substance."""
REACTIONS = ("Nổi mề đay", "Phù môi", "Khó thở", "Ngứa toàn thân", "Phát ban", "Tụt huyết áp")
REASONS = (
    "Đau đầu, chóng mặt", "Sốt cao 2 ngày", "Ho có đờm 5 ngày", "Khám thai định kỳ", "Tái khám tăng huyết áp",
    "Lĩnh thuốc đái tháo đường", "Đau bụng vùng thượng vị", "Đau lưng", "Đau khớp gối", "Tiêm chủng theo lịch",
    "Tiêu chảy 6 lần trong ngày", "Vết thương bàn tay do dao", "Phát ban, ngứa", "Đau ngực khi gắng sức", "Mất ngủ",
    "Mắt đỏ, chảy ghèn", "Đau tai", "Tiểu buốt", "Cân và đo cho trẻ", "Khám sức khỏe người cao tuổi",
)  # fmt: skip
NOTES = (
    "Tỉnh, tiếp xúc tốt", "Da niêm mạc hồng", "Không phù", "Tim đều", "Phổi thông khí đều hai bên, không ran",
    "Phổi có ran ẩm đáy phải", "Bụng mềm, không đau", "Ấn đau thượng vị", "Họng đỏ, amidan không sưng",
    "Họng đỏ, amidan sưng độ 2", "Ăn uống kém", "Ngủ ít", "Đã uống thuốc hạ sốt lúc sáng",
    "Bỏ thuốc một tuần vì đi nương xa", "Uống thuốc đều", "Nhà cách trạm mười hai cây số",
    "Người nhà đi cùng", "Hẹn tái khám sau 5 ngày", "Hẹn tái khám sau một tháng", "Dặn ăn nhạt, đi bộ mỗi ngày",
    "Dặn quay lại ngay nếu sốt cao hoặc khó thở", "Đã tư vấn dinh dưỡng", "Đã rửa và băng vết thương",
    "Gia đình có người mắc lao", "Chưa có dấu hiệu mất nước", "Có dấu hiệu mất nước nhẹ", "Thai máy bình thường",
    "Tim thai rõ", "Cân nặng tăng đúng chuẩn", "Cân nặng không tăng so với tháng trước", "Đo lại sau nghỉ 15 phút",
    "Đau tăng khi cúi", "Không sốt", "Không khó thở", "Chân trái sưng nhẹ", "Đề nghị hội chẩn từ xa với tuyến trên",
)  # fmt: skip
DOSAGES = (
    "Uống 1 {unit} mỗi sáng sau ăn", "Uống 1 {unit} × 2 lần/ngày, sáng và tối", "Uống 1 {unit} × 3 lần/ngày sau ăn",
    "Uống 2 {unit} × 2 lần/ngày", "Uống 1 {unit} trước khi ngủ", "Khi sốt trên 38,5 °C: 1 {unit}, cách nhau 6 giờ",
    "Uống ½ {unit} mỗi sáng",
)  # fmt: skip
